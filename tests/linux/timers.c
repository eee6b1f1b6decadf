// Timers, and threads that never wait: turns end, and signals come in the midst of computing.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int alarms, told, turn, value;

static void note(int signal)
{
    alarms++;
}

static void tell(int signal, siginfo_t *information, void *context)
{
    told++;
    value = information->si_value.sival_int;
    if (information->si_code != SI_TIMER)
        value = -1;
}

static void *spin(void *argument)
{
    double sum = 0;
    long own = (long)argument;
    for (int round = 0; round < 5; round++) {
        while (turn != own)
            sum += 1.5;
        turn = (own + 1) % 3;
    }
    return (void *)(sum >= 0 ? own : -1);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(void)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    signal(SIGALRM, note);
    struct itimerval soon = {{0, 0}, {0, 20000}}, left;
    double start = seconds();
    setitimer(ITIMER_REAL, &soon, 0);
    while (!alarms)
        ;
    printf("computing: %d, %s\n", alarms, seconds() - start >= 0.02 ? "late enough" : "too early");

    struct itimerval often = {{0, 5000}, {0, 5000}};
    setitimer(ITIMER_REAL, &often, 0);
    while (alarms < 6)
        ;
    getitimer(ITIMER_REAL, &left);
    printf("every %ld, left %s\n", (long)left.it_interval.tv_usec, left.it_value.tv_usec > 0 && left.it_value.tv_usec <= 5000 ? "some" : "odd");
    setitimer(ITIMER_REAL, &(struct itimerval){0}, &left);
    getitimer(ITIMER_REAL, &left);
    printf("off %ld %ld\n", (long)left.it_value.tv_sec, (long)left.it_value.tv_usec);

    printf("alarm %u, ", alarm(100));
    printf("again %u, ", alarm(0));
    printf("none %u\n", alarm(0));
    // The first may come before the pause.
    struct itimerval again = {{0, 20000}, {0, 20000}};
    setitimer(ITIMER_REAL, &again, 0);
    int paused = pause(), error = errno;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, 0);
    printf("paused %d, %s\n", paused, strerror(error));

    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART, .sa_sigaction = tell};
    sigaction(SIGUSR1, &action, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    timer_t timer;
    printf("created %d, ", timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec wanted = {{0, 3000000}, {0, 3000000}}, now;
    timer_settime(timer, 0, &wanted, 0);
    while (told < 4)
        ;
    timer_gettime(timer, &now);
    printf("value %d, every %ld, overruns %s, ", value, now.it_interval.tv_nsec, timer_getoverrun(timer) >= 0 ? "counted" : "unknown");
    printf("deleted %d, ", timer_delete(timer));
    printf("twice %d %s\n", timer_delete(timer), strerror(errno));

    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&threads[i], 0, spin, (void *)i);
    for (int i = 0; i < 3; i++) {
        void *result;
        pthread_join(threads[i], &result);
        printf("%ld ", (long)result);
    }
    puts("have taken turns");
    return 0;
}
