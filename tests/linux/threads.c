// Threads and what they wait for: mutexes, conditions, barriers, semaphores, timeouts, thread-local storage, robust mutexes.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static __thread long own = 7;
static long counter, turn, sum;
static int word;

static long futex(int *address, int operation, int value, void *timeout, int *other, int last)
{
    return syscall(SYS_futex, address, operation, value, timeout, other, last);
}

static void *count(void *argument)
{
    own += (long)argument;
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        if (i % 100 == 0)
            sched_yield();
    }
    pthread_barrier_wait(&barrier);
    pthread_mutex_lock(&mutex);
    while (turn != (long)argument)
        pthread_cond_wait(&condition, &mutex);
    printf("thread %ld has %ld and %.3f\n", (long)argument, own, (double)own / 3);
    turn++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    return (void *)(own * own);
}

static void *produce(void *argument)
{
    for (int i = 1; i <= 1000; i++) {
        pthread_mutex_lock(&mutex);
        sum += i;
        pthread_mutex_unlock(&mutex);
        sem_post(&semaphore);
    }
    return argument;
}

static void *wait_for_word(void *argument)
{
    long done = futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, 0, (int)(long)argument);
    return (void *)(done == 0 ? (long)argument : -errno);
}

static void *die_with_lock(void *argument)
{
    pthread_mutex_lock(argument);
    return 0;
}

static struct timespec after(clockid_t clock, long milliseconds)
{
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_nsec += milliseconds * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

int main(void)
{
    pthread_t threads[THREADS];
    void *result;
    pthread_barrier_init(&barrier, 0, THREADS);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], 0, count, (void *)i);
    long results[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], (void **)&results[i]);
    for (int i = 0; i < THREADS; i++)
        printf("%d gave %ld\n", i, results[i]);
    printf("%ld counted; main has %ld\n", counter, own);

    sem_init(&semaphore, 0, 0);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], 0, produce, 0);
    for (int i = 0; i < 3000; i++)
        sem_wait(&semaphore);
    printf("%ld produced\n", sum);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], 0);

    struct timespec limit = after(CLOCK_REALTIME, 20);
    printf("semaphore: %s\n", sem_timedwait(&semaphore, &limit) ? strerror(errno) : "taken");
    pthread_mutex_lock(&mutex);
    limit = after(CLOCK_REALTIME, 20);
    printf("condition: %s\n", strerror(pthread_cond_timedwait(&condition, &mutex, &limit)));
    pthread_mutex_unlock(&mutex);

    // Futexes by hand: who wakes names bits, and can move the others.
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], 0, wait_for_word, (void *)(1L << i));
    for (int waiting = 0; waiting < 4;) {
        static int other;
        usleep(1000);
        waiting = futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)100L, &other, 0);
        if (waiting < 4)
            futex(&other, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)100L, &word, 0);
        else {
            printf("bits 2 and 8 wake %ld, ", futex(&other, FUTEX_WAKE_BITSET_PRIVATE, 9, 0, 0, 10));
            printf("bit 16 %ld, ", futex(&other, FUTEX_WAKE_BITSET_PRIVATE, 9, 0, 0, 16));
            printf("anything %ld, ", futex(&other, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
            printf("then %ld\n", futex(&other, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0));
        }
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &result);
        printf("%ld ", (long)result);
    }
    struct timespec soon = {0, 5000000};
    printf("%ld ", futex(&word, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0));
    printf("%s; ", strerror(errno));
    printf("%ld ", futex(&word, FUTEX_WAIT_PRIVATE, 0, &soon, 0, 0));
    printf("%s; ", strerror(errno));
    printf("%ld ", futex((int *)((char *)&word + 1), FUTEX_WAIT_PRIVATE, 0, &soon, 0, 0));
    printf("%s; ", strerror(errno));
    printf("%ld ", futex((int *)16, FUTEX_WAIT_PRIVATE, 0, &soon, 0, 0));
    printf("%s; ", strerror(errno));
    static int second = 5;
    printf("%ld ", futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &second, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)));
    printf("%d\n", second);

    pthread_mutexattr_t robust;
    pthread_mutex_t left;
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&left, &robust);
    pthread_create(&threads[0], 0, die_with_lock, &left);
    pthread_join(threads[0], 0);
    printf("left behind: %s\n", strerror(pthread_mutex_lock(&left)));
    printf("mended: %s\n", strerror(pthread_mutex_consistent(&left)));
    pthread_mutex_unlock(&left);

    limit = after(CLOCK_MONOTONIC, 10);
    struct timespec now;
    printf("slept: %d ", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &limit, 0));
    clock_gettime(CLOCK_MONOTONIC, &now);
    puts(now.tv_sec > limit.tv_sec || now.tv_sec == limit.tv_sec && now.tv_nsec >= limit.tv_nsec ? "enough" : "too short");
    pthread_create(&threads[0], 0, produce, 0);
    pthread_exit(0);
}
