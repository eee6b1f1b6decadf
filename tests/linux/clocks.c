// Clocks, as the C library reads them, agree with the calls of the same name, and signals come while they are read.
// Usage: clocks [ROUNDS]; with a number, only that many looks at a clock.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(struct timespec time)
{
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long called(clockid_t clock)
{
    struct timespec time;
    return syscall(SYS_clock_gettime, clock, &time) == 0 ? nanoseconds(time) : -1;
}

static long long asked(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0 || time.tv_nsec < 0 || time.tv_nsec > 999999999)
        return -1;
    return nanoseconds(time);
}

static volatile sig_atomic_t alarms;

static void note(int signal)
{
    alarms++;
}

static void look(const char *who)
{
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME};
    for (size_t index = 0; index < sizeof clocks / sizeof *clocks; index++) {
        int wrong = 0;
        for (int round = 0; round < 1000; round++) {
            long long before = called(clocks[index]), here = asked(clocks[index]), after = called(clocks[index]);
            wrong += !(0 < before && before <= here && here <= after);
        }
        printf("%s clock %d: %d wrong\n", who, clocks[index], wrong);
    }
    int wrong = 0;
    for (int round = 0; round < 1000; round++) {
        struct timeval now;
        long long before = called(CLOCK_REALTIME);
        gettimeofday(&now, 0);
        time_t seconds = time(0);
        long long here = now.tv_sec * 1000000LL + now.tv_usec;
        wrong += !(before / 1000 <= here && here <= called(CLOCK_REALTIME) / 1000);
        // The host's time() may be a tick behind.
        wrong += labs((long)(now.tv_sec - seconds)) > 1;
    }
    printf("%s time of day: %d wrong\n", who, wrong);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        for (long round = atol(arguments[1]); round > 0; round--)
            asked(CLOCK_MONOTONIC);
        return 0;
    }
    look("first");
    printf("processor time %s\n", asked(CLOCK_PROCESS_CPUTIME_ID) >= 0 ? "is there" : "is not there");
    struct timespec time;
    int answer = clock_gettime(99, &time);
    printf("no clock: %d, %d\n", answer, errno == EINVAL);

    signal(SIGALRM, note);
    for (int round = 1; round <= 300; round++) {
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, round}}, 0);
        while (alarms < round)
            asked(CLOCK_MONOTONIC);
    }
    printf("%d alarms\n", (int)alarms);
    fflush(stdout);
    if (fork() == 0) {
        look("child");
        _exit(0);
    }
    wait(0);
    return 0;
}
