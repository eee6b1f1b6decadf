// What scripts/compare-linux times: each line of output is an operation and its nanoseconds, "-" where it is not there.
// Usage: compare [OPERATION...]; without, all. With "exit" it ends at once, for fork+exec.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 64 << 10 };

static char buffer[CHUNK];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

// Each operation does `count` rounds, and gives the nanoseconds of all of them, or -1.
#define TIMED(setup, round, cleanup)                                                               \
    {                                                                                              \
        double start, time;                                                                        \
        setup;                                                                                     \
        start = now();                                                                             \
        for (long index = 0; index < count; index++)                                               \
            round;                                                                                 \
        time = now() - start;                                                                      \
        cleanup;                                                                                   \
        return time;                                                                               \
    }
#define NEED(condition)                                                                            \
    if (!(condition))                                                                              \
    return -1

static double null_call(long count) TIMED(, syscall(SYS_getppid), )
static double get_pid(long count) TIMED(, getpid(), )
static double get_time(long count) TIMED(struct timespec time_of_day, clock_gettime(CLOCK_MONOTONIC, &time_of_day), )
static double read_byte(long count)
    TIMED(int file = open("/dev/zero", O_RDONLY); NEED(file >= 0), NEED(read(file, buffer, 1) == 1), close(file))
static double write_byte(long count)
    TIMED(int file = open("/dev/null", O_WRONLY); NEED(file >= 0), NEED(write(file, buffer, 1) == 1), close(file))
static double open_close(long count) TIMED(, NEED(close(open("/dev/null", O_RDONLY)) == 0), )
static double status(long count) TIMED(struct stat found, NEED(stat("/dev/null", &found) == 0), )

static int temporary(void)
{
    char name[] = "/tmp/compare-XXXXXX";
    int file = mkstemp(name);
    unlink(name);
    for (int chunk = 0; chunk < 4; chunk++)
        if (write(file, buffer, CHUNK) != CHUNK)
            return -1;
    return file;
}

static double read_page(long count)
    TIMED(int file = temporary(); NEED(file >= 0), NEED(pread(file, buffer, PAGE, index % 64 * PAGE) == PAGE), close(file))

// A child answers each byte that it gets with one.
static double ping_pong(long count, int to_child[2], int from_child[2])
{
    int child = fork();
    NEED(child >= 0);
    if (child == 0) {
        char byte;
        for (long index = 0; index < count; index++)
            if (read(to_child[0], &byte, 1) != 1 || write(from_child[1], &byte, 1) != 1)
                _exit(1);
        _exit(0);
    }
    double start = now();
    for (long index = 0; index < count; index++)
        NEED(write(to_child[1], buffer, 1) == 1 && read(from_child[0], buffer, 1) == 1);
    double time = now() - start;
    int result;
    NEED(waitpid(child, &result, 0) == child && result == 0);
    return time;
}

static double pipe_round_trip(long count)
{
    int there[2], back[2];
    NEED(pipe(there) == 0 && pipe(back) == 0);
    double time = ping_pong(count, there, back);
    for (int end = 0; end < 2; end++)
        close(there[end]), close(back[end]);
    return time;
}

static double socket_round_trip(long count)
{
    int pair[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int there[2] = {pair[1], pair[0]};
    int back[2] = {pair[0], pair[1]};
    double time = ping_pong(count, there, back);
    close(pair[0]), close(pair[1]);
    return time;
}

// One round moves 64 KiB from a child.
static double pipe_chunk(long count)
{
    int ends[2];
    NEED(pipe(ends) == 0);
    int child = fork();
    NEED(child >= 0);
    if (child == 0) {
        for (long index = 0; index < count; index++)
            if (write(ends[1], buffer, CHUNK) != CHUNK)
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    double start = now();
    for (long left = count * CHUNK; left > 0;) {
        long moved = read(ends[0], buffer, CHUNK);
        NEED(moved > 0);
        left -= moved;
    }
    double time = now() - start;
    close(ends[0]);
    NEED(waitpid(child, 0, 0) == child);
    return time;
}

static int turn;

static void wait_for(int value)
{
    int other;
    while ((other = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != value)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, other, 0, 0, 0);
}

static void pass_to(int value)
{
    __atomic_store_n(&turn, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

static void *answer(void *count)
{
    for (long index = 0; index < (long)count; index++)
        wait_for(1), pass_to(0);
    return 0;
}

static double futex_round_trip(long count)
    TIMED(pthread_t thread; turn = 0; NEED(pthread_create(&thread, 0, answer, (void *)count) == 0),
          (pass_to(1), wait_for(0)), pthread_join(thread, 0))

static void ignore(int signal) { }

static double install_signal(long count)
    TIMED(struct sigaction action = {.sa_handler = ignore}, NEED(sigaction(SIGUSR1, &action, 0) == 0), )
static double deliver_signal(long count)
    TIMED(struct sigaction action = {.sa_handler = ignore}; NEED(sigaction(SIGUSR1, &action, 0) == 0),
          NEED(kill(getpid(), SIGUSR1) == 0), )

static char *guarded;

static void unguard(int signal) { mprotect(guarded, PAGE, PROT_READ | PROT_WRITE); }

// One round protects a page, faults, and takes the protection away in the handler.
static double protection_fault(long count)
    TIMED(struct sigaction action = {.sa_handler = unguard}; NEED(sigaction(SIGSEGV, &action, 0) == 0);
          guarded = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); NEED(guarded != MAP_FAILED),
          (mprotect(guarded, PAGE, PROT_NONE), *(volatile char *)guarded = 1), munmap(guarded, PAGE))
static double protect(long count)
    TIMED(char *page = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          NEED(page != MAP_FAILED); *page = 1, NEED(mprotect(page, PAGE, index & 1 ? PROT_READ | PROT_WRITE : PROT_READ) == 0),
          munmap(page, PAGE))

static double map_unmap(long count)
{
    double start = now();
    for (long index = 0; index < count; index++) {
        char *memory = mmap(0, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        NEED(memory != MAP_FAILED && munmap(memory, CHUNK) == 0);
    }
    return now() - start;
}

// Having the memory is part of it: who clears pages when they are mapped has them cleared there.
static double first_touch(long count)
{
    double start = now();
    char *memory = mmap(0, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(memory != MAP_FAILED);
    for (long index = 0; index < count; index++)
        memory[index * PAGE] = 1;
    double time = now() - start;
    munmap(memory, count * PAGE);
    return time;
}

static double fork_exit(long count)
{
    double start = now();
    for (long index = 0; index < count; index++) {
        int child = fork();
        NEED(child >= 0);
        if (child == 0)
            _exit(0);
        NEED(waitpid(child, 0, 0) == child);
    }
    return now() - start;
}

static double fork_exec(long count)
{
    double start = now();
    for (long index = 0; index < count; index++) {
        int child = fork(), result;
        NEED(child >= 0);
        if (child == 0) {
            execl("/proc/self/exe", "compare", "exit", (char *)0);
            _exit(1);
        }
        NEED(waitpid(child, &result, 0) == child && result == 0);
    }
    return now() - start;
}

static const struct {
    const char *name;
    double (*rounds)(long);
    long count;
} operations[] = {
    {"null", null_call, 20000},
    {"getpid", get_pid, 20000},
    {"clock_gettime", get_time, 20000},
    {"read-1", read_byte, 20000},
    {"write-1", write_byte, 20000},
    {"open-close", open_close, 5000},
    {"stat", status, 5000},
    {"pread-4096", read_page, 5000},
    {"pipe-round-trip", pipe_round_trip, 200},
    {"pipe-64K", pipe_chunk, 200},
    {"socketpair-round-trip", socket_round_trip, 200},
    {"futex-round-trip", futex_round_trip, 500},
    {"signal-install", install_signal, 10000},
    {"signal-deliver", deliver_signal, 5000},
    {"protection-fault", protection_fault, 200},
    {"mprotect", protect, 500},
    {"mmap-munmap-64K", map_unmap, 5000},
    {"first-touch-4K", first_touch, 512},
    {"fork-exit", fork_exit, 10},
    {"fork-exec", fork_exec, 10},
};

static int is_wanted(const char *name, int count, char **wanted)
{
    for (int index = 1; index < count; index++)
        if (strcmp(wanted[index], name) == 0)
            return 1;
    return count < 2;
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "exit") == 0)
        return 0;
    for (size_t index = 0; index < sizeof operations / sizeof *operations; index++) {
        if (!is_wanted(operations[index].name, count, arguments))
            continue;
        // The first rounds find caches and pages cold; they are not told.
        operations[index].rounds(operations[index].count / 10 + 1);
        double time = operations[index].rounds(operations[index].count);
        if (time < 0)
            printf("%s -\n", operations[index].name);
        else
            printf("%s %.1f\n", operations[index].name, time / operations[index].count);
        fflush(stdout);
    }
    return 0;
}
