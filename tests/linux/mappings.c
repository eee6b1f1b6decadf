// Mappings of files: private and shared, with children, beyond the end, and what becomes of the file.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, result);
}

static void try(const char *what, void *at) { say(what, at == MAP_FAILED ? -1 : 0); }

static unsigned long sum(const unsigned char *at, size_t bytes)
{
    unsigned long total = 0;
    for (size_t i = 0; i < bytes; i++)
        total = total * 31 + at[i];
    return total;
}

int main(void)
{
    int file = open("large", O_RDWR), reads = open("large", O_RDONLY), writes = open("large", O_WRONLY);
    unsigned char byte, *at, *other;
    try("nothing", mmap(0, 0, PROT_READ, MAP_PRIVATE, file, 0));
    try("offset inside a page", mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 100));
    try("no kind", mmap(0, 4096, PROT_READ, 0, file, 0));
    try("not open", mmap(0, 4096, PROT_READ, MAP_PRIVATE, 99, 0));
    try("write only", mmap(0, 4096, PROT_READ, MAP_PRIVATE, writes, 0));
    try("shared, read only", mmap(0, 4096, PROT_WRITE, MAP_SHARED, reads, 0));

    at = mmap(0, 100003, PROT_READ, MAP_PRIVATE, reads, 0);
    printf("read %lx\n", sum(at, 100003));
    printf("zero behind the end %lx\n", sum(at + 100003, 24 * 4096 + 4096 - 100003));
    other = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, reads, 4096);
    other[0]++, other[5000] = 7;
    printf("private %d %d %d\n", other[0] - at[4096], at[4096 + 5000] == other[5000], sum(other + 1, 4000) == sum(at + 4097, 4000));
    pread(file, &byte, 1, 4096);
    say("file unchanged", byte == at[4096]);
    say("mprotect", mprotect(at, 8192, PROT_READ | PROT_WRITE));
    at[10] = 99;
    pread(file, &byte, 1, 10);
    printf("own page %d %d\n", at[10], byte == 99);
    say("munmap in the middle", munmap(at + 8192, 4096));
    printf("rest %lx %lx\n", sum(at, 8192), sum(at + 3 * 4096, 100003 - 3 * 4096));
    say("munmap", munmap(at, 100003));
    say("discard", madvise(other, 8192, MADV_DONTNEED));
    pread(file, &byte, 1, 4096);
    printf("as in the file again %d\n", other[0] == byte);

    at = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 4096);
    other = mmap(0, 4096, PROT_READ, MAP_SHARED, reads, 8192);
    strcpy((char *)at + 4096, "shared");
    printf("seen %s\n", other);
    char text[8];
    pread(reads, text, 7, 8192);
    printf("read %s\n", text);
    pwrite(file, "changed", 8, 8192);
    printf("written %s\n", at + 4096);
    say("msync", msync(at, 3 * 4096, MS_SYNC));
    fflush(stdout);
    if (!fork()) {
        strcpy((char *)at + 100, "by a child");
        _exit(3);
    }
    int status;
    wait(&status);
    printf("%d %s\n", WEXITSTATUS(status), at + 100);
    pread(reads, text, 4, 4096 + 100);
    printf("%.4s\n", text);
    say("fixed", mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == at);
    printf("%lx %s\n", sum(at, 4096), at + 4096);
    say("not over that", mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS, -1, 0) == at ? 0 : -1);
    close(file), close(reads), close(writes);
    printf("closed %s\n", at + 4096);

    int *count = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *own = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int child = 0; child < 3; child++)
        if (!fork()) {
            *count += 10 + child, *own = 5;
            _exit(0);
        } else
            wait(0);
    printf("children %d %d\n", *count, *own);

    // A file that grows under a mapping.
    file = open("grows", O_RDWR | O_CREAT, 0644);
    ftruncate(file, 100);
    at = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    strcpy((char *)at, "first");
    ftruncate(file, 8192);
    strcpy((char *)at + 4096, "second");
    unlink("grows");
    pread(file, text, 7, 4096);
    printf("%s %s\n", at, text);
    int zero = open("/dev/zero", O_RDWR);
    at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    at[5] = 1;
    printf("zero %lx\n", sum(at, 4096));
    return 0;
}
