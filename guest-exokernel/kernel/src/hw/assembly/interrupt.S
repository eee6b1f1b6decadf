// Interrupts by devices and by other vCPUs, from ring 3 or from an idle kernel, on a stack of their own (IST): the exception frame of an environment
// may be unread on the other.

.section .stubs, "ax"
.balign 8
device_interrupts:
.set vector, 0
.rept {device_vectors}
    pushq $vector
    jmp device_interrupt
    .balign 8
    .set vector, vector + 1
.endr

// Entered with: a word pushed below what the CPU pushed, the argument of the handler. Leaves as it came.
.macro HANDLE_INTERRUPT handler
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    subq $8, %rsp                               // rsp is a multiple of 16 for the call
    cld
    movq 80(%rsp), %rdi
    call \handler
    addq $8, %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $8, %rsp
    iretq
.endm

device_interrupt:                               // with the number of the device vector
    HANDLE_INTERRUPT {handle_interrupt}

// From another vCPU: to forget translations, or to look for whom to run.
neighbour_interrupt:
    pushq $0
    HANDLE_INTERRUPT {handle_neighbour}

ignored_interrupt:
    iretq
