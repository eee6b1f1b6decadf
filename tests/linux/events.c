// Events at any moment: each timer's signal comes to a loop that makes no call, however close to the end of the last one it was.
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <x86intrin.h>

enum { ROUNDS = 3000, STEPS = 300 };
// Some ten seconds.
static const unsigned long long PATIENCE = 30000000000;

static volatile sig_atomic_t alarms;

static void note(int signal)
{
    alarms++;
}

int main(void)
{
    signal(SIGALRM, note);
    for (int round = 0; round < ROUNDS; round++) {
        struct itimerval soon = {{0, 0}, {0, 1 + round % STEPS}};
        int before = alarms;
        setitimer(ITIMER_REAL, &soon, 0);
        unsigned long long start = __rdtsc();
        while (alarms == before)
            if (__rdtsc() - start > PATIENCE) {
                printf("round %d: the signal after %d us is lost\n", round, 1 + round % STEPS);
                return 1;
            }
    }
    printf("%d alarms\n", (int)alarms);
    return 0;
}
