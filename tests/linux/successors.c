// Processes that come one after the other, where those before were: each finds its own memory, and nothing else.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PLACE = 0x50000000, MANY = 60 };

static char global[4 * PAGE] __attribute__((aligned(PAGE))) = {1};

static int await(pid_t child) {
    int status = 0;
    if (waitpid(child, &status, 0) != child) return -1000;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// How a child ends that does this.
static int child(int (*work)(void)) {
    fflush(stdout);
    pid_t number = fork();
    if (number == 0) _exit(work());
    return await(number);
}

static int maps(void) {
    char *memory = mmap((void *)PLACE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memset(memory, 7, 4 * PAGE);
    mprotect(memory + PAGE, PAGE, PROT_READ);
    mprotect(memory + 2 * PAGE, PAGE, PROT_NONE);
    return memory[0];
}

static int touches(void) {
    return *(volatile char *)(PLACE + PAGE);
}

// What is new reads as zero, wherever it comes from.
static int is_zero(void) {
    long sum = 0;
    for (long bytes = PAGE; bytes <= 8 << 20; bytes *= 2) {
        char *mapped = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *before = sbrk(bytes);
        for (long index = 0; index < bytes; index += 64) sum += mapped[index] + before[index];
        memset(mapped, 5, bytes);
        memset(before, 6, bytes);
    }
    return sum != 0;
}

static int deep(int left) {
    volatile char place[PAGE];
    memset((char *)place, left, PAGE);
    return left ? deep(left - 1) + place[5] * 0 : 3;
}

static int descends(void) {
    return deep(1000);
}

static int protects(void) {
    memset(global, 2, sizeof global);
    mprotect(global, PAGE, PROT_NONE);
    mprotect(global + PAGE, PAGE, PROT_READ);
    return 2;
}

static int writes(void) {
    int sum = global[0] + global[PAGE] * 10;
    memset(global, 3, sizeof global);
    return sum;
}

static int writes_below(void) {
    return global[2 * PAGE] = 9;
}

static int waits(void) {
    for (;;) pause();
}

static int many(void) {
    pid_t all[MANY];
    int sum = 0;
    for (int index = 0; index < MANY; index++) {
        all[index] = fork();
        if (all[index] == 0) {
            char *memory = malloc(index * PAGE + 1);
            memset(memory, index, index * PAGE + 1);
            usleep(index % 7 * 1000);
            _exit(memory[index * PAGE] & 0x7f);
        }
    }
    for (int index = 0; index < MANY; index++) sum += await(all[index]) == index;
    return sum;
}

int main(int count, char **words) {
    if (count > 1) return is_zero() + strlen(words[1]);
    setvbuf(stdout, 0, _IOLBF, 0);
    for (int round = 0; round < 3; round++) {
        printf("maps %d, touches %d\n", child(maps), child(touches));
        printf("is_zero %d, again %d\n", child(is_zero), child(is_zero));
        printf("descends %d, maps %d, is_zero %d\n", child(descends), child(maps), child(is_zero));
        printf("protects %d, writes %d, protects %d\n", child(protects), child(writes), child(protects));
    }
    printf("many %d, many %d\n", child(many), many());
    // What the parent changes, the next child has.
    for (int round = 0; round < 3; round++) {
        mprotect(global + 2 * PAGE, PAGE, PROT_READ);
        printf("read only %d", child(writes_below));
        mprotect(global + 2 * PAGE, PAGE, PROT_NONE);
        printf(", none %d", child(writes_below));
        mprotect(global + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
        char *extra = mmap((void *)PLACE, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        memset(extra, 4, 64 * PAGE);
        printf(", all %d, there %d", child(writes_below), child(touches));
        munmap(extra, 64 * PAGE);
        printf(", gone %d\n", child(touches));
    }
    // Those that are killed, and those that execute.
    int sum = 0;
    for (int round = 0; round < 20; round++) {
        fflush(stdout);
        pid_t number = fork();
        if (number == 0) waits();
        kill(number, SIGKILL);
        sum += await(number) == -SIGKILL;
        number = fork();
        if (number == 0) {
            execl("/proc/self/exe", "successors", "four", (char *)0);
            _exit(1);
        }
        sum += await(number) == 4;
        sum += child(is_zero) == 0;
    }
    printf("killed, executed, zero: %d\n", sum);
    for (int round = 0; round < 200; round++) sum += child(writes) == 1;
    printf("in a row: %d\n", sum);
}
