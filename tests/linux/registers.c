// What a system call must leave alone: the red zone below the stack pointer, and every register but rax, rcx and r11.
#include <stdio.h>
#include <sys/syscall.h>

int main(void)
{
    unsigned long bad = 0, vectors[4] = {1, 2, 3, 4}, after[4];
    asm volatile(
        "movq $0x1122334455667788, %%rax\n\t"
        "movq %%rax, -8(%%rsp)\n\t"
        "movq %%rax, -128(%%rsp)\n\t"
        "movdqu (%[vectors]), %%xmm0\n\t"
        "movdqu 16(%[vectors]), %%xmm15\n\t"
        "movq $5, %%rdi\n\t"
        "movq $6, %%rsi\n\t"
        "movq $7, %%rdx\n\t"
        "movq $8, %%r8\n\t"
        "movq $9, %%r9\n\t"
        "movq $10, %%r10\n\t"
        "movq $11, %%r12\n\t"
        "movl %[number], %%eax\n\t"
        "syscall\n\t"
        "cmpq $5, %%rdi\n\t setne %b[bad]\n\t"
        "cmpq $6, %%rsi\n\t jne 1f\n\t"
        "cmpq $7, %%rdx\n\t jne 1f\n\t"
        "cmpq $8, %%r8\n\t jne 1f\n\t"
        "cmpq $9, %%r9\n\t jne 1f\n\t"
        "cmpq $10, %%r10\n\t jne 1f\n\t"
        "cmpq $11, %%r12\n\t jne 1f\n\t"
        "movq $0x1122334455667788, %%rdx\n\t"
        "cmpq %%rdx, -8(%%rsp)\n\t jne 1f\n\t"
        "cmpq %%rdx, -128(%%rsp)\n\t jne 1f\n\t"
        "movdqu %%xmm0, (%[after])\n\t"
        "movdqu %%xmm15, 16(%[after])\n\t"
        "jmp 2f\n\t"
        "1: movq $1, %[bad]\n\t"
        "2:\n\t"
        : [bad] "+b"(bad)
        : [vectors] "r"(vectors), [after] "r"(after), [number] "i"(SYS_getppid)
        : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "xmm0", "xmm15", "memory", "cc");
    for (int i = 0; i < 4; i++)
        bad |= after[i] != vectors[i];
    puts(bad ? "lost" : "kept");
    return bad != 0;
}
