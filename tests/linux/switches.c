// Processes that answer each other: by turns, in a circle, beside one that computes, and until one of them is killed.
// Usage: switches [ROUNDS]; with a number, only so many turns of two processes.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void make(int ends[2])
{
    if (pipe(ends) != 0)
        _exit(9);
}

static int get(int file)
{
    unsigned char byte;
    return read(file, &byte, 1) == 1 ? byte : -1;
}

static void put(int file, unsigned char byte)
{
    if (write(file, &byte, 1) != 1)
        _exit(8);
}

// A child that gives back each byte, one larger, until there are no more.
static pid_t answerer(int there[2], int back[2])
{
    make(there), make(back);
    pid_t child = fork();
    if (child == 0) {
        close(there[1]), close(back[0]);
        for (int byte; (byte = get(there[0])) >= 0;)
            put(back[1], byte + 1);
        _exit(0);
    }
    close(there[0]), close(back[1]);
    return child;
}

static int turns(int rounds)
{
    int there[2], back[2], right = 0, status;
    pid_t child = answerer(there, back);
    for (int round = 0; round < rounds; round++) {
        put(there[1], round);
        right += get(back[0]) == (unsigned char)(round + 1);
    }
    close(there[1]);
    waitpid(child, &status, 0);
    close(back[0]);
    return right;
}

static int circle(int members, int rounds)
{
    int ends[16][2], last = 0;
    for (int member = 0; member < members; member++)
        make(ends[member]);
    for (int member = 1; member < members; member++)
        if (fork() == 0) {
            for (int round = 0; round < rounds; round++)
                put(ends[(member + 1) % members][1], get(ends[member][0]) + 1);
            _exit(0);
        }
    for (int round = 0; round < rounds; round++) {
        put(ends[1][1], last);
        last = get(ends[0][0]);
    }
    while (wait(0) > 0)
        ;
    for (int member = 0; member < members; member++)
        close(ends[member][0]), close(ends[member][1]);
    return last;
}

static volatile int arrived;

static void *await(void *end)
{
    arrived = get((long)end);
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 1) {
        printf("%d\n", turns(atoi(arguments[1])));
        return 0;
    }
    printf("two: %d\n", turns(2000));
    printf("five: %d\n", circle(5, 50));

    volatile long *steps = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t busy = fork();
    if (busy == 0)
        for (;;)
            ++*steps;
    while (*steps == 0)
        usleep(1000);
    long before = *steps;
    printf("beside one that computes: %d, ", turns(300));
    while (*steps == before)
        usleep(1000);
    printf("which goes on\n");
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    poll(0, 0, 70);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double waited = (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6;
    printf("a wait ends %s\n", waited >= 70 ? "in time" : "too early");
    kill(busy, SIGKILL);
    waitpid(busy, 0, 0);

    // A thread waits for a byte while another computes.
    int ends[2];
    make(ends);
    arrived = -1;
    pthread_t thread;
    pthread_create(&thread, 0, await, (void *)(long)ends[0]);
    pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        put(ends[1], 42);
        _exit(0);
    }
    while (arrived < 0)
        ;
    pthread_join(thread, 0);
    printf("while computing: %d\n", arrived);
    waitpid(child, 0, 0);

    int there[2], back[2], status;
    child = answerer(there, back);
    for (int round = 0; round < 10; round++)
        put(there[1], round), get(back[0]);
    kill(child, SIGKILL);
    printf("killed: %d, ", get(back[0]));
    waitpid(child, &status, 0);
    printf("by %d\n", WTERMSIG(status));
    return 0;
}
