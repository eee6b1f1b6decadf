// Processor time: of a process, of its children, by clocks and by calls.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const long MILLISECOND = 1000000;

static long clock_of(clockid_t clock) {
    struct timespec time;
    return clock_gettime(clock, &time) ? -1 : time.tv_sec * 1000000000 + time.tv_nsec;
}

static long used(void) {
    return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

static long of(struct rusage *usage) {
    return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000 + (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

static long asked(int who) {
    struct rusage usage;
    return getrusage(who, &usage) ? -1 : of(&usage);
}

// Computes until so much more was used.
static void compute(long nanoseconds) {
    for (long begin = used(); used() - begin < nanoseconds;)
        for (volatile int turn = 0; turn < 1000; turn++) {}
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    long last = used(), moment = clock_of(CLOCK_MONOTONIC);
    int falls = 0;
    for (int turn = 0; turn < 10000; turn++) {
        long now = used();
        falls += now < last;
        last = now;
    }
    printf("it never falls: %d\n", !falls);
    compute(400 * MILLISECOND);
    printf("it takes time: %d\n", clock_of(CLOCK_MONOTONIC) - moment >= 390 * MILLISECOND);
    printf("getrusage: %d, children %ld\n", asked(RUSAGE_SELF) >= 390 * MILLISECOND, asked(RUSAGE_CHILDREN));
    printf("thread: %d\n", clock_of(CLOCK_THREAD_CPUTIME_ID) >= 400 * MILLISECOND);
    clockid_t clock;
    printf("own clock: %d", clock_getcpuclockid(0, &clock));
    printf(" %d\n", clock_of(clock) >= 400 * MILLISECOND);
    long forked = clock_of(CLOCK_MONOTONIC);
    pid_t child = fork();
    if (child == 0) {
        int is_new = used() <= clock_of(CLOCK_MONOTONIC) - forked && asked(RUSAGE_CHILDREN) == 0;
        pid_t grandchild = fork();
        if (grandchild == 0) {
            compute(100 * MILLISECOND);
            _exit(0);
        }
        wait(0);
        compute(50 * MILLISECOND);
        _exit(is_new);
    }
    struct rusage usage;
    int status;
    printf("not before it is awaited: %ld\n", asked(RUSAGE_CHILDREN));
    printf("wait4: %d", wait4(child, &status, 0, &usage) == child);
    printf(" %d, it was new: %d\n", of(&usage) >= 145 * MILLISECOND, WEXITSTATUS(status));
    printf("children: %d\n", asked(RUSAGE_CHILDREN) >= 145 * MILLISECOND);
    struct tms all;
    printf("times: %d", times(&all) != (clock_t)-1);
    printf(" %d %d\n", all.tms_utime + all.tms_stime >= 39, all.tms_cutime + all.tms_cstime >= 13);
}
