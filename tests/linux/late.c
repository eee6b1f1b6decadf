// Code that appears while the program runs, with system calls in it: written and made executable, written again, mapped twice, in a file.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef long function(void);

#define BYTES (2 << 20)

// A function as compilers make it: a long prologue, the number, the call; its result is what the call gives.
static size_t write_function(unsigned char *place, int number)
{
    unsigned char code[128];
    size_t length = 0;
    for (int i = 0; i < 16; i++)
        memcpy(code + length, "\x48\x8d\x7f\x00", 4), length += 4; /* lea rdi, [rdi] */
    memcpy(code + length, "\x31\xff", 2), length += 2;              /* xor edi, edi */
    code[length++] = 0xb8;                                          /* mov eax, number */
    memcpy(code + length, &number, 4), length += 4;
    memcpy(code + length, "\x0f\x05\xc3", 3), length += 3; /* syscall; ret */
    memcpy(place, code, length);
    return length;
}

static long sum(function *made)
{
    long all = 0;
    for (int i = 0; i < 1000; i++)
        all += made() > 0;
    return all;
}

int main(void)
{
    unsigned char *code = mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char copy[128];
    /* Written, then executed. */
    size_t length = write_function(code + 256, 39);
    memcpy(copy, code + 256, length);
    mprotect(code, BYTES, PROT_READ | PROT_EXEC);
    printf("written: %ld\n", sum((function *)(code + 256)));
    /* A child has the same, and its own. */
    fflush(stdout);
    if (fork() == 0) {
        printf("child: %ld\n", sum((function *)(code + 256)));
        mprotect(code, BYTES, PROT_READ | PROT_WRITE);
        printf("child finds what was written: %d\n", memcmp(copy, code + 256, length));
        return 0;
    }
    wait(0);
    printf("parent: %ld\n", sum((function *)(code + 256)));
    /* Written again: another call, across the border of two pages. */
    mprotect(code, BYTES, PROT_READ | PROT_WRITE);
    printf("finds what was written: %d\n", memcmp(copy, code + 256, length));
    write_function(code + 256, 110);
    write_function(code + 4096 - 69, 39);
    mprotect(code, BYTES, PROT_READ | PROT_EXEC);
    printf("written again: %d %d\n", ((function *)(code + 256))() == getppid(), ((function *)(code + 4096 - 69))() == getpid());
    printf("across: %ld\n", sum((function *)(code + 4096 - 69)));
    /* Given back, and something else is there. */
    munmap(code, 4096);
    mmap(code, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("empty again: %d\n", code[256]);
    write_function(code + 256, 102);
    mprotect(code, 4096, PROT_READ | PROT_EXEC);
    printf("user: %d\n", ((function *)(code + 256))() == getuid());
    /* Written while it may be executed. */
    unsigned char *both = mmap(0, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    write_function(both, 39);
    printf("both: %ld\n", sum((function *)both));
    write_function(both, 110);
    printf("both, other: %d\n", ((function *)both)() == getppid());
    /* Mapped twice: written by one name, executed by the other. */
    int file = open("/tmp/exo-late", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ftruncate(file, 8192);
    unsigned char *written = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    unsigned char *executed = mmap(0, 8192, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    if (written == MAP_FAILED || executed == MAP_FAILED)
        return 1;
    length = write_function(written, 39);
    memcpy(copy, written, length);
    printf("twice: %ld\n", sum((function *)executed));
    printf("twice, as written: %d\n", memcmp(copy, written, length));
    write_function(written, 110);
    printf("twice, other: %d\n", ((function *)executed)() == getppid());
    /* A file's private pages, as libraries have them. */
    unsigned char *library = mmap(0, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    write_function(written + 512, 39);
    printf("library: %ld\n", sum((function *)(library + 512)));
    printf("its file: %d\n", written[512 + 66] == 0xb8);
    return 0;
}
