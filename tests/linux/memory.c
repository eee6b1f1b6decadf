// Private memory: what mmap, munmap, mprotect, madvise and brk make of it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *map(size_t bytes, int protection) {
    char *at = mmap(0, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

static long sum(const char *at, size_t bytes) {
    long total = 0;
    for (size_t i = 0; i < bytes; i++) total += at[i];
    return total;
}

int main(void) {
    // Used again, it reads as zero.
    for (int round = 0; round < 50; round++) {
        size_t bytes = 4096 * (1 + round % 7);
        char *at = map(bytes, PROT_READ | PROT_WRITE);
        if (sum(at, bytes)) return 2;
        memset(at, 1, bytes);
        munmap(at, bytes);
    }
    // Rights that come and go keep what is there.
    char *at = map(16 * 4096, PROT_READ | PROT_WRITE);
    memset(at, 3, 16 * 4096);
    printf("%d", mprotect(at + 4096, 4096, PROT_READ));
    printf(" %d", mprotect(at + 3 * 4096, 4096, PROT_NONE));
    printf(" %d", mprotect(at, 16 * 4096, PROT_READ | PROT_WRITE));
    printf(" %ld\n", sum(at, 16 * 4096));
    // Something else in its place.
    char *other = mmap(at + 5 * 4096, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("%d %ld", other == at + 5 * 4096, sum(at, 16 * 4096));
    other[0] = 5;
    printf(" %ld", sum(at, 16 * 4096));
    printf(" %d", munmap(at + 8 * 4096, 4096));
    printf(" %d %ld\n", munmap(at, 16 * 4096), 0L);
    // Advice that is none.
    at = map(8 * 4096, PROT_READ | PROT_WRITE);
    memset(at, 7, 8 * 4096);
    printf("%d", madvise(at + 4096, 4096, MADV_DONTNEED));
    printf(" %ld\n", sum(at, 8 * 4096));
    char *reserved = map(256 << 20, PROT_NONE);
    printf("%d", mprotect(reserved + (100 << 20), 1 << 20, PROT_READ | PROT_WRITE));
    memset(reserved + (100 << 20), 1, 1 << 20);
    printf(" %d", madvise(reserved + (100 << 20), 1 << 19, MADV_DONTNEED));
    printf(" %ld\n", sum(reserved + (100 << 20), 1 << 20));
    // The program break.
    char *before = sbrk(0);
    char *more = sbrk(3 << 20);
    memset(more, 1, 3 << 20);
    printf("%d %ld", more == before, sum(more, 3 << 20));
    sbrk(-(3 << 20));
    more = sbrk(3 << 20);
    printf(" %d %ld\n", more == before, sum(more, 3 << 20));
    // Errors.
    printf("%d %d\n", mprotect((void *)0x10, 4096, PROT_READ), errno);
    printf("%d", mprotect((void *)0x123450000000, 4096, PROT_READ));
    printf(" %d", errno);
    printf(" %d", munmap((void *)0x123450000001, 4096));
    printf(" %d\n", errno);
    fflush(stdout);
    // What may not be read ends it.
    mprotect(at + 2 * 4096, 4096, PROT_NONE);
    return at[2 * 4096];
}
