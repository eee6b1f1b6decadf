// Mappings that move, grow and end; advice, locks, and files behind memory.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define MIB (1L << 20)

static sigjmp_buf back;

static void fault(int signal, siginfo_t *information, __attribute__((unused)) void *context)
{
    siglongjmp(back, signal * 100 + information->si_code);
}

// What a read of a byte ends with: 0, or 100 times the signal and its code.
static int try_read(volatile char *place)
{
    int signal = sigsetjmp(back, 1);
    if (!signal)
        (void)*place;
    return signal;
}

static int try_write(volatile char *place)
{
    int signal = sigsetjmp(back, 1);
    if (!signal)
        *place = 1;
    return signal;
}

static char *map(long bytes, int rights)
{
    char *start = mmap(0, bytes, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        perror("mmap"), exit(1);
    return start;
}

static void fill(char *start, long bytes, int seed)
{
    for (long offset = 0; offset < bytes; offset += 512)
        start[offset] = (char)(offset / 512 * 7 + seed);
}

static long differences(const char *start, long bytes, int seed)
{
    long count = 0;
    for (long offset = 0; offset < bytes; offset += 512)
        count += start[offset] != (char)(offset / 512 * 7 + seed);
    return count;
}

static void show(const char *what, long value) { printf("%s: %ld\n", what, value); }

static void show_call(const char *what, long value)
{
    printf("%s: %ld %s\n", what, value, value == -1 ? strerror(errno) : "");
}

static void grow_and_shrink(long from, long to)
{
    char *start = map(from, PROT_READ | PROT_WRITE);
    fill(start, from, 1);
    char *grown = mremap(start, from, to, MREMAP_MAYMOVE);
    if (grown == MAP_FAILED)
        perror("mremap"), exit(1);
    long kept = from < to ? from : to;
    show("differences after a move", differences(grown, kept, 1));
    for (long offset = kept; offset < to; offset += PAGE)
        if (grown[offset])
            show("not zero", offset);
    fill(grown, to, 2);
    char *shrunk = mremap(grown, to, PAGE, 0);
    show("shrunk where it was", shrunk == grown);
    show("contents", differences(shrunk, PAGE, 2));
    munmap(shrunk, PAGE);
}

static void move(void)
{
    for (long from = PAGE; from < 20 * MIB; from = from * 5 / 4096 * 4096 + PAGE) {
        grow_and_shrink(from, from + PAGE);
        grow_and_shrink(from, 2 * from + 3 * MIB);
        grow_and_shrink(3 * from, from);
    }
    char *start = map(5 * MIB, PROT_READ | PROT_WRITE), *place = map(5 * MIB, PROT_NONE);
    fill(start, 5 * MIB, 3);
    show("to a place", mremap(start, 5 * MIB, 5 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    show("contents", differences(place, 5 * MIB, 3));
    show("what was left", try_read(start));
    char *left = mremap(place, 5 * MIB, 5 * MIB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    show("contents", differences(left, 5 * MIB, 3));
    show("empty", place[12345] + place[3 * MIB]);
    munmap(place, 5 * MIB);
    // A part in the middle, read-only.
    mprotect(left + MIB, MIB, PROT_READ);
    char *middle = mremap(left + MIB, MIB, 2 * MIB, MREMAP_MAYMOVE);
    show("contents", differences(middle, MIB, 3 + (int)(MIB / 512 * 7)));
    show("a write", try_write(middle));
    show("a write behind", try_write(middle + MIB));
    show("the hole", try_read(left + MIB));
    show("beside it", try_read(left + 2 * MIB));
    munmap(left, 5 * MIB), munmap(middle, 2 * MIB);
    // It cannot grow over its neighbour.
    char *both = map(2 * PAGE, PROT_READ | PROT_WRITE);
    mprotect(both + PAGE, PAGE, PROT_READ);
    show_call("no room", (long)mremap(both, PAGE, 2 * PAGE, 0));
    show_call("across", (long)mremap(both, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE));
    show_call("not mapped", (long)mremap((void *)0x123450000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    show_call("odd", (long)mremap(both + 1, PAGE, PAGE, MREMAP_MAYMOVE));
    show_call("none", (long)mremap(both, PAGE, 0, MREMAP_MAYMOVE));
    show_call("flags", (long)mremap(both, PAGE, PAGE, 64));
    show_call("fixed", (long)mremap(both, PAGE, PAGE, MREMAP_FIXED, both + PAGE));
    show_call("overlap", (long)mremap(both, 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, both + PAGE));
    munmap(both, 2 * PAGE);
}

static void files(void)
{
    int file = memfd_create("some name", MFD_CLOEXEC);
    show("a file", file >= 0 && fcntl(file, F_GETFD) == FD_CLOEXEC);
    show("its size", ftruncate(file, 3 * PAGE + 100) == 0 ? lseek(file, 0, SEEK_END) : -1);
    char *shared = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *private = mmap(0, 8 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
    shared[2 * PAGE] = 42;
    show("in the other", private[2 * PAGE]);
    char byte = 0;
    show("in the file", pread(file, &byte, 1, 2 * PAGE) + byte);
    show("behind the end, in its page", shared[3 * PAGE + 200]);
    show("behind the last page", try_read(shared + 4 * PAGE));
    show("a write there", try_write(shared + 5 * PAGE));
    show("private", try_read(private + 4 * PAGE));
    show("a write", try_write(private));
    show_call("by a call", write(1, shared + 4 * PAGE, 1));
    ftruncate(file, 8 * PAGE);
    show("longer", try_read(shared + 4 * PAGE));
    char *moved = mremap(shared, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map(8 * PAGE, PROT_NONE));
    show("moved", moved[2 * PAGE]);
    if (fork() == 0) {
        moved[3 * PAGE] = 17;
        _exit(0);
    }
    wait(0);
    show("of a child", private[3 * PAGE]);
    show_call("msync", msync(moved, 8 * PAGE, MS_SYNC));
    show_call("msync", msync(moved, 8 * PAGE, MS_SYNC | MS_ASYNC));
    show_call("msync", msync(moved + 1, PAGE, MS_SYNC));
    show_call("msync", msync((void *)0x123450000000, PAGE, MS_SYNC));
    show_call("long name", memfd_create("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", 0));
    show_call("flags", memfd_create("x", 1 << 20));
    int *number = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int child = 0; child < 3; child++)
        if (fork() == 0) {
            __atomic_fetch_add(number, 5, __ATOMIC_SEQ_CST);
            _exit(0);
        }
    while (wait(0) > 0) { }
    show("shared with children", *number);
}

static void advice(void)
{
    char *start = map(64 * PAGE, PROT_READ | PROT_WRITE);
    unsigned char there[64] = {0};
    memset(start, 1, 64 * PAGE);
    show_call("mincore", mincore(start, 64 * PAGE, there));
    show("there", there[0] + there[63]);
    show_call("odd", mincore(start + 1, PAGE, there));
    show_call("bad buffer", mincore(start, PAGE, (void *)16));
    show_call("not mapped", mincore((void *)0x123450000000, PAGE, there));
    show_call("mlock", mlock(start + 5, PAGE));
    show_call("munlock", munlock(start + 5, PAGE));
    show_call("mlock", mlock((void *)0x123450000000, PAGE));
    show_call("mlockall", mlockall(MCL_CURRENT));
    show_call("mlockall", mlockall(0));
    show_call("munlockall", munlockall());
    show_call("free", madvise(start, PAGE, MADV_FREE));
    show_call("will need", madvise(start, PAGE, MADV_WILLNEED));
    show_call("nonsense", madvise(start, PAGE, 77));
    show_call("odd", madvise(start + 1, PAGE, MADV_DONTNEED));
    show_call("not mapped", madvise((void *)0x123450000000, PAGE, MADV_DONTNEED));
    show_call("not needed", madvise(start + 3 * PAGE, 2 * PAGE, MADV_DONTNEED));
    show("gone", start[3 * PAGE] + start[5 * PAGE]);
    char *populated = mmap(0, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    unsigned char all[100] = {0};
    mincore(populated, 100 * PAGE, all);
    int count = 0;
    for (int page = 0; page < 100; page++)
        count += all[page];
    show("populated", count);
    show_call("replace", (long)mmap(start, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    munmap(start, PAGE);
    show("free", mmap(start, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == start);
    show("a wish", mmap((void *)0x200000000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == (void *)0x200000000000);
    show_call("too much", (long)mmap(0, 1L << 45, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    show("reserved", mmap(0, 1L << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
}

static void growing_down(void)
{
    char *room = map(16 * MIB, PROT_NONE);
    munmap(room, 16 * MIB);
    char *top = mmap(room + 15 * MIB, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    show("a stack", top == room + 15 * MIB);
    for (long pages = 1; pages < 500; pages += 3)
        if (try_write(top - pages * PAGE))
            show("it does not grow", pages);
    show("what is there", top[-400 * PAGE] + top[-499 * PAGE]);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_NODEFER | SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0), sigaction(SIGBUS, &action, 0);
    move();
    files();
    advice();
    growing_down();
    return 0;
}
