// A yield to anyone, the plain case: to the next in the ring of those that own no slice, of the same ports, while no owner of a slice is
// ready. All else goes to the handler of the call, with nothing changed.
//
// Entered with: rsp = place of the caller, rdi = whom it names, rax = position of the call. Interrupts are off.
// Leaves: in the interface page, where the turn of the next begins. Its code clears all registers.
//
// The lock is the kernel's one lock, and what is written here is what scheduler.rs would write. The timer is left as it is: it is armed for
// the end of a slice that ends no later, and then armed anew.

.section .stubs, "ax"

breakpoint_yield:
    lock btsl $0, {kernel_lock}                 // free: clear
    jc 9f
    testq %rdi, %rdi
    jnz 8f
    movq {kernel_stack_above_frame}(%rsp), %rcx
    movq {turn_next}(%rsp), %r11
    movq ({area_terms} - (1 << {area_shift}))(%rcx), %rdx
    cmpq %rdx, {turn_terms}(%r11)
    jne 8f

    incq {sequence}
    movq {transfer_record}(%rsp), %rsi
    incq {record_yields}(%rsi)
    incq {record_turns}(%rsi)
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, %rdx
    subq ({area_since} - (1 << {area_shift}))(%rcx), %rdx
    movq %rax, ({area_since} - (1 << {area_shift}))(%rcx)
    addq %rdx, {record_ticks}(%rsi)
    movb $0, ({area_grace} - (1 << {area_shift}))(%rcx)
    movq %r11, ({area_current} - (1 << {area_shift}))(%rcx)

    movq {transfer_root}(%r11), %rdx
    movq %rdx, %cr3
    movq {transfer_task_state}(%r11), %rdx
    leaq {gate_frame}(%r11), %rax
    movq %rax, {rsp0}(%rdx)
    leaq {slice_stack_above_frame}(%r11), %rax
    movq %rax, {slice_stack_offset}(%rdx)
    movq {transfer_running}(%r11), %rdx
    movl {page_id}(%r11), %eax
    movw %ax, (%rdx)
    incq {sequence}
    movl $0, {kernel_lock}
    leaq {turn_frame}(%r11), %rsp
    iretq
8:  movl $0, {kernel_lock}
9:  jmp breakpoint_call
syscall_yield:
    ENTER_FROM_SYSCALL
    jmp breakpoint_yield
