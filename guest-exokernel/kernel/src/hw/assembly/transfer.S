// Protected control transfer, the plain case: by the capability that the caller has used last, to an environment of the same vCPU and the
// same ports that waits for it; and the reply. All else goes to Rust, with nothing changed.
//
// Entered with: rsp = place of the caller (its frame, in its environment page), rdi = capability, or events seen. Interrupts are off.
// Leaves: in the environment that is entered, rax = number of the caller; or in the one that is replied to, rax = 0. rcx, rdi and r11
// hold nothing of the kernel's; everything else is the message.
//
// The lock is the kernel's one lock, and what is written here is what transfer.rs would write.

.macro TRANSFER_FAST
    lock btsl $0, {kernel_lock}                 // free: clear
    jc 9f
    testq %rdi, %rdi                            // 0 is no capability, but what stands there while none is bound
    jz 8f
    cmpq {transfer_bound}(%rsp), %rdi
    jne 8f
    movq {transfer_target}(%rsp), %rax
    movq {transfer_terms}(%rsp), %rcx
    cmpq %rcx, {transfer_peer}(%rax)
    jne 8f

    incq {sequence}
    movq %rsp, {transfer_peer}(%rax)
    movq $0, {turn_terms}(%rsp)                 // no yield begins its turn meanwhile
    movq {transfer_record}(%rsp), %rcx
    movl ${state_awaiting_reply}, {record_state}(%rcx)
    incq {record_transfers}(%rcx)
    ATTACH
    movl {page_id}(%rsp), %ecx
    leaq {transfer_entry}(%rax), %rsp
    movl %ecx, %eax
    LEAVE
8:  movl $0, {kernel_lock}
9:
.endm

.macro REPLY_FAST
    lock btsl $0, {kernel_lock}
    jc 9f
    movq {transfer_peer}(%rsp), %rax
    testq %rax, %rax                            // a place is in the kernel's half
    jns 8f
    cmpq %rdi, {call_page_events}(%rsp)
    jne 8f
    movq {transfer_terms}(%rsp), %rcx
    cmpq %rcx, {transfer_terms}(%rax)
    jne 8f

    incq {sequence}
    movq %rcx, {transfer_peer}(%rsp)
    movq $0, {turn_terms}(%rsp)
    movq %rcx, {turn_terms}(%rax)
    movq {transfer_record}(%rsp), %rcx
    movl ${state_waiting}, {record_state}(%rcx)
    incq {record_replies}(%rcx)
    ATTACH
    movq %rax, %rsp
    xorl %ecx, %ecx
    xorl %eax, %eax
    LEAVE
8:  movl $0, {kernel_lock}
9:
.endm

// Makes the vCPU that of the environment whose place is rax. r11 is its number then; rcx is lost.
.macro ATTACH
    movq {transfer_record}(%rax), %rcx
    movl ${state_runnable}, {record_state}(%rcx)
    movq {transfer_root}(%rax), %rcx
    movq %rcx, %cr3
    movq {transfer_task_state}(%rax), %rcx
    leaq {gate_frame}(%rax), %r11
    movq %r11, {rsp0}(%rcx)
    leaq {slice_stack_above_frame}(%rax), %r11
    movq %r11, {slice_stack_offset}(%rcx)
    movq {transfer_running}(%rax), %rcx
    movl {page_id}(%rax), %r11d
    movw %r11w, (%rcx)
.endm

.macro LEAVE
    incq {sequence}
    movl $0, {kernel_lock}
    xorl %edi, %edi
    iretq
.endm

.section .stubs, "ax"

breakpoint_transfer:
    TRANSFER_FAST
    movl ${call_transfer}, %ecx
    jmp transfer_slow
syscall_transfer:
    ENTER_FROM_SYSCALL
    jmp breakpoint_transfer

breakpoint_transfer_reply:
    REPLY_FAST
    movl ${call_transfer_reply}, %ecx
    jmp transfer_slow
syscall_transfer_reply:
    ENTER_FROM_SYSCALL
    jmp breakpoint_transfer_reply

syscall_transfer_asynchronous:
    ENTER_FROM_SYSCALL
breakpoint_transfer_asynchronous:
    movl ${call_transfer_asynchronous}, %ecx

// Entered with: rsp = place of the caller; ecx = position of the call; rax, rcx and r11 lost, all else the message.
transfer_slow:
    cld
    movq %rsp, %r11
    movq {kernel_stack_above_frame}(%rsp), %rsp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %r8
    pushq %r9
    pushq %r10                                  // rsp is a multiple of 16
    movl %ecx, %esi
    call {handle_transfer}
    movq %rax, %r11                             // whose frame leads back
    movq %rdx, %rax
    popq %r10
    popq %r9
    popq %r8
    popq %rdx
    popq %rsi
    popq %rdi
    movq %r11, %rsp
    xorl %ecx, %ecx
    xorl %r11d, %r11d
    iretq
