// Signals: handlers, masks, the alternate stack, queued ones, interrupted calls, what the processor causes, and what a handler finds.
#define _GNU_SOURCE
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int count, last, nested;
static sigjmp_buf back;
static char *page;

static void note(int signal)
{
    count++;
    last = signal;
}

static void tell(int signal, siginfo_t *information, void *context)
{
    printf("signal %d, code %d, value %d, from itself %d\n", signal, information->si_code, information->si_value.sival_int,
        information->si_pid == getpid());
}

static void nest(int signal)
{
    int depth = ++nested;
    if (signal == SIGUSR1)
        raise(SIGUSR2);
    printf("handler of %d at depth %d ends at %d\n", signal, depth, nested);
}

static void jump(int signal, siginfo_t *information, void *context)
{
    ucontext_t *here = context;
    long trap = here->uc_mcontext.gregs[REG_TRAPNO];
    printf("signal %d, code %d, trap %ld", signal, information->si_code, trap);
    if (trap == 14)
        printf(", error %lld, address %s", here->uc_mcontext.gregs[REG_ERR] & 6,
            information->si_addr == (char *)here->uc_mcontext.gregs[REG_CR2] ? "told twice" : "differs");
    puts("");
    siglongjmp(back, 1);
}

static void mend(int signal, siginfo_t *information, void *context)
{
    count++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void skip(int signal, siginfo_t *information, void *context)
{
    ucontext_t *here = context;
    here->uc_mcontext.gregs[REG_RIP] += 2;
    here->uc_mcontext.gregs[REG_RBX] = 77;
    here->uc_mcontext.fpregs->_xmm[5].element[0] = 99;
}

static void on_stack(int signal)
{
    stack_t stack;
    char here;
    sigaltstack(0, &stack);
    printf("on the stack %d, inside %d\n", stack.ss_flags == SS_ONSTACK, &here > (char *)stack.ss_sp && &here < (char *)stack.ss_sp + stack.ss_size);
}

static void action(int signal, void *handler, int flags)
{
    struct sigaction wanted = {.sa_flags = flags | SA_SIGINFO, .sa_sigaction = handler};
    sigaction(signal, &wanted, 0);
}

static int overflow(int depth)
{
    volatile char room[4096];
    room[0] = depth;
    return overflow(depth + 1) + room[0];
}

static void run_out(int signal)
{
    siglongjmp(back, 2);
}

static void *send_soon(void *thread)
{
    usleep(20000);
    pthread_kill((pthread_t)thread, SIGUSR1);
    return 0;
}

static const char *interrupted(int result)
{
    return result < 0 ? strerror(errno) : "done";
}

int main(void)
{
    sigset_t set, old, pending;
    page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    signal(SIGUSR1, note);
    for (int i = 0; i < 1000; i++)
        raise(SIGUSR1);
    printf("%d taken, the last is %d\n", count, last);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, &old);
    count = 0;
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&pending);
    printf("blocked: %d taken, pending %d %d\n", count, sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2));
    action(SIGRTMIN + 1, tell, 0);
    for (int i = 0; i < 3; i++)
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i});
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("open: %d taken\n", count);

    action(SIGUSR1, nest, 0);
    action(SIGUSR2, nest, SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR2, 0, &now);
    printf("reset %d\n", now.sa_handler == SIG_DFL);
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    signal(SIGCHLD, SIG_DFL);
    raise(SIGCHLD);

    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGUSR2, note);
    raise(SIGUSR2);
    siginfo_t information;
    printf("waited for: %d, ", sigwaitinfo(&set, &information));
    printf("code %d, ", information.si_code);
    struct timespec soon = {0, 5000000};
    printf("then %d %s\n", sigtimedwait(&set, &information, &soon), strerror(errno));
    sigprocmask(SIG_SETMASK, &old, 0);

    // What the processor causes.
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++)
        action(signals[i], jump, SA_NODEFER);
    if (!sigsetjmp(back, 1))
        *(volatile int *)0;
    if (!sigsetjmp(back, 1))
        *(volatile int *)8 = 1;
    if (!sigsetjmp(back, 1))
        *page = 1;
    if (!sigsetjmp(back, 1))
        *(volatile int *)(page + (1L << 50)) = 1;
    if (!sigsetjmp(back, 1))
        ((void (*)(void))page)();
    if (!sigsetjmp(back, 1))
        asm volatile("cltd; idivl %1" ::"a"(1), "r"(0) : "rdx");
    if (!sigsetjmp(back, 1))
        asm volatile("ud2");
    if (!sigsetjmp(back, 1))
        asm volatile("hlt");
    if (!sigsetjmp(back, 1))
        asm volatile("int3");
    if (!sigsetjmp(back, 1)) {
        feenableexcept(FE_DIVBYZERO);
        volatile double zero = 0;
        printf("%f\n", 1 / zero);
    }
    fedisableexcept(FE_ALL_EXCEPT);

    count = 0;
    action(SIGSEGV, mend, 0);
    for (int i = 0; i < 50; i++) {
        mprotect(page, 4096, PROT_READ);
        page[i] = i;
    }
    printf("mended %d times, %d\n", count, page[49]);
    action(SIGILL, skip, 0);
    unsigned long changed = 5, vector = 0;
    asm volatile("movq $11, %%rax\n\tmovq %%rax, %%xmm5\n\tpcmpeqd %%xmm6, %%xmm6\n\tud2\n\tmovq %%xmm5, %1" : "+b"(changed), "=r"(vector)::"rax", "xmm5", "xmm6");
    printf("changed by the handler: %lu %lu\n", changed, vector);

    // The alternate stack.
    static char room[65536];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    printf("small: %s\n", interrupted(sigaltstack(&(stack_t){.ss_sp = room, .ss_size = 100}, 0)));
    sigaltstack(&stack, 0);
    action(SIGUSR1, on_stack, SA_ONSTACK);
    raise(SIGUSR1);
    action(SIGSEGV, run_out, SA_ONSTACK);
    if (!sigsetjmp(back, 1))
        overflow(0);
    else
        puts("ran out of stack");

    // Calls that are interrupted.
    pthread_t thread;
    signal(SIGUSR1, note);
    siginterrupt(SIGUSR1, 1);
    count = 0;
    pthread_create(&thread, 0, send_soon, (void *)pthread_self());
    printf("pause: %s, ", interrupted(pause()));
    pthread_join(thread, 0);
    struct timespec day = {86400, 0}, left = {0};
    pthread_create(&thread, 0, send_soon, (void *)pthread_self());
    printf("sleep: %s, ", interrupted(nanosleep(&day, &left)));
    printf("%s left, ", left.tv_sec == 86399 ? "nearly all" : "too little");
    pthread_join(thread, 0);
    sigprocmask(SIG_BLOCK, &set, &old);
    pthread_create(&thread, 0, send_soon, (void *)pthread_self());
    printf("suspend: %s, %d taken, ", interrupted(sigsuspend(&old)), count);
    sigprocmask(SIG_SETMASK, 0, &pending);
    printf("mask is back %d\n", sigismember(&pending, SIGUSR1));
    pthread_join(thread, 0);
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("%s, ", interrupted(kill(getpid(), 65)));
    printf("%s, ", interrupted(kill(getpid(), 0)));
    printf("%s\n", interrupted(kill(999999, SIGUSR1)));
    fflush(stdout);
    return 3;
}
