// Memory that comes in blocks: what is mapped, changed, given up and copied in parts of them is what a model in the program says it is.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define PIECES 10
#define PAGES_MAX 1400

static uint64_t state = 88172645463325252ull;

static unsigned below(unsigned limit)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % limit;
}

// What the program has: a mapping, and for each page what it holds and what may be done with it.
static struct {
    char *start;
    long pages;
    unsigned char value[PAGES_MAX], rights[PAGES_MAX], is_gone[PAGES_MAX];
} pieces[PIECES];

static sigjmp_buf back;
static volatile int faults;

static void fault(int signal)
{
    faults++;
    siglongjmp(back, signal);
}

static int touch(volatile char *place, int write, char *value)
{
    int signal = sigsetjmp(back, 1);
    if (signal)
        return signal;
    if (write)
        *place = *value;
    else
        *value = *place;
    return 0;
}

static void fail(const char *what, int piece, long page)
{
    printf("wrong: %s, piece %d, page %ld of %ld\n", what, piece, page, pieces[piece].pages);
    fflush(stdout);
    _exit(1);
}

static void check_page(int piece, long page)
{
    char *place = pieces[piece].start + page * PAGE + (page * 40) % PAGE, value = 0;
    int rights = pieces[piece].rights[page];
    // Another mapping may be there by now.
    if (pieces[piece].is_gone[page])
        return;
    int signal = touch(place, 0, &value);
    if (signal != (rights & PROT_READ ? 0 : SIGSEGV))
        fail("a read", piece, page);
    if (!signal && (unsigned char)value != pieces[piece].value[page])
        fail("contents", piece, page);
    if (!(rights & PROT_WRITE)) {
        if (touch(place, 1, &value) != SIGSEGV)
            fail("a write that is not allowed", piece, page);
        return;
    }
    value = 1 + below(200);
    if (touch(place, 1, &value))
        fail("a write", piece, page);
    pieces[piece].value[page] = value;
}

static void check_all(void)
{
    for (int piece = 0; piece < PIECES; piece++)
        for (long page = 0; page < pieces[piece].pages; page++)
            check_page(piece, page);
}

static void drop(int piece)
{
    for (long page = 0; page < pieces[piece].pages; page++)
        if (!pieces[piece].is_gone[page] && munmap(pieces[piece].start + page * PAGE, PAGE))
            fail("munmap", piece, page);
    pieces[piece].pages = 0;
}

static void make(int piece)
{
    static const int sizes[] = {1, 3, 16, 200, 512, 513, PAGES_MAX};
    long pages = sizes[below(7)];
    char *start = mmap(0, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        fail("mmap", piece, 0);
    pieces[piece].start = start;
    pieces[piece].pages = pages;
    memset(pieces[piece].value, 0, pages);
    memset(pieces[piece].is_gone, 0, pages);
    memset(pieces[piece].rights, PROT_READ | PROT_WRITE, pages);
}

static void step(int piece)
{
    static const int rights[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE};
    long first = below(pieces[piece].pages), count = 1 + below(pieces[piece].pages - first);
    char *start = pieces[piece].start + first * PAGE;
    for (long page = first; page < first + count; page++)
        if (pieces[piece].is_gone[page])
            count = page - first;
    if (count == 0)
        return;
    int kind = below(8), right = rights[below(4)];
    if (kind < 4) {
        if (mprotect(start, count * PAGE, right))
            fail("mprotect", piece, first);
        memset(pieces[piece].rights + first, right, count);
    } else if (kind == 4) {
        if (madvise(start, count * PAGE, MADV_DONTNEED))
            fail("madvise", piece, first);
        memset(pieces[piece].value + first, 0, count);
    } else if (kind == 5) {
        if (munmap(start, count * PAGE))
            fail("munmap", piece, first);
        memset(pieces[piece].is_gone + first, 1, count);
    } else if (kind == 6) {
        if (mmap(start, count * PAGE, right, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != start)
            fail("mmap at an address", piece, first);
        memset(pieces[piece].value + first, 0, count);
        memset(pieces[piece].rights + first, right, count);
    } else {
        for (long page = first; page < first + count; page++)
            check_page(piece, page);
    }
}

// The program break goes up and down; what comes back is zero.
static void move_break(void)
{
    char *start = sbrk(0);
    for (int round = 0; round < 40; round++) {
        long bytes = (long)below(6 << 20) + 1;
        if (brk(start + bytes))
            fail("brk", 0, round);
        for (long offset = 0; offset < bytes; offset += 1 + below(5000)) {
            if (start[offset])
                fail("old contents behind the break", 0, offset / PAGE);
            start[offset] = 1;
        }
        if (start[bytes - 1] > 1)
            fail("the last byte", 0, round);
        if (brk(start + (round & 1 ? 0 : 3)))
            fail("brk back", 0, round);
        if (!(round & 1))
            memset(start, 0, 3);
    }
    printf("break: as it should be\n");
}

int main(void)
{
    struct sigaction action = {.sa_handler = fault, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    for (int round = 0; round < 300; round++) {
        int piece = below(PIECES);
        if (!pieces[piece].pages)
            make(piece);
        else if (below(6) == 0)
            drop(piece);
        else
            step(piece);
        if (round % 60 == 59) {
            int status;
            fflush(stdout);
            pid_t child = fork();
            if (child == 0) {
                check_all();
                for (int number = 0; number < 20; number++) {
                    int other = below(PIECES);
                    if (pieces[other].pages)
                        step(other);
                }
                check_all();
                _exit(7);
            }
            if (waitpid(child, &status, 0) != child || status != 7 << 8)
                fail("a child", 0, round);
            check_all();
        }
    }
    check_all();
    printf("model: as it should be\n");
    // A large region, touched in odd places; then shared out anew.
    long bytes = 40 << 20;
    char *large = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long sum = 0;
    for (long offset = 0; offset < bytes; offset += 3 * PAGE + 8)
        sum += large[offset], large[offset] = 1;
    munmap(large + (5 << 20), 7 << 20);
    mprotect(large + (20 << 20), PAGE, PROT_READ);
    madvise(large + (22 << 20), 10 << 20, MADV_DONTNEED);
    for (long offset = 12 << 20; offset < bytes; offset += 1000)
        sum += large[offset];
    printf("sum %ld\n", sum);
    munmap(large, bytes);
    move_break();
    return 0;
}
