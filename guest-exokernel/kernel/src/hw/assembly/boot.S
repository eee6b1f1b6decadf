// From the PVH entry, or from the start of another vCPU, to Rust in 64-bit mode.

// Entered by the PVH loader: 32-bit protected mode, no paging, interrupts off, flat segments, ebx = start information.
.section .text.boot, "ax"
.code32
.globl pvh_entry
pvh_entry:
    xorl %esi, %esi                             // vCPU 0

// Entered with: flat 32-bit segments, no paging; esi = vCPU number, ebx = start information (vCPU 0).
enter_long_mode:
    cld
    lgdtl gdt_pointer_low - {kernel_base}
    movl $(boot_root - {kernel_base}), %eax
    movl %eax, %cr3
    movl ${cr4}, %eax
    movl %eax, %cr4
    movl ${msr_efer}, %ecx
    movl ${efer}, %eax
    xorl %edx, %edx
    wrmsr
    movl ${cr0}, %eax                           // paging on: compatibility mode until the far jump
    movl %eax, %cr0
    ljmpl ${kernel_code}, $(enter_high - {kernel_base})

.code64
enter_high:
    movq $enter_kernel, %rax                    // from the identity map to the kernel's own addresses
    jmp *%rax

enter_kernel:
    lgdtq gdt_pointer(%rip)
    lidtq idt_pointer(%rip)
    movl ${kernel_data}, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    lldt %ax                                    // reset leaves a local table at address 0 (Intel SDM volume 3, table 11-1)
    movl %esi, %eax
    shll $4, %eax
    addl ${first_tss}, %eax
    ltr %ax                                     // task state segment of this vCPU
    movl %esi, %esp
    incl %esp
    shll ${area_shift}, %esp
    movslq %esp, %rsp
    addq ${vcpu_areas}, %rsp                    // top of the kernel stack of this vCPU
    movl %ebx, %edi
    testl %esi, %esi
    jnz 1f
    call {boot_machine}                         // does not return
1:  movl %esi, %edi
    call {join_machine}                         // does not return

// Copied to low memory, where another vCPU starts in real mode (Intel SDM volume 3, section 9.4.4). Entered with: cs = page of the
// copy << 8, ip = 0.
.section .rodata.trampoline, "a"
.code16
.globl trampoline
.globl trampoline_end
.balign 8
trampoline:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl trampoline_gdt_pointer - trampoline + {trampoline_address}
    movl ${cr0_protected}, %eax
    movl %eax, %cr0
    ljmpl $8, $(trampoline_protected - trampoline + {trampoline_address})
.code32
trampoline_protected:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl ${msr_apic_base}, %ecx                 // its number is that of its APIC, by which interrupts find it
    rdmsr
    orl ${x2apic}, %eax
    wrmsr
    movl ${msr_apic_id}, %ecx
    rdmsr
    movl %eax, %esi
    movl $(enter_long_mode - {kernel_base}), %eax
    jmp *%eax
.balign 8
trampoline_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
trampoline_gdt_pointer:
    .word 23
    .long trampoline_gdt - trampoline + {trampoline_address}
.balign 8
trampoline_end:

.section .note.Xen, "a"
.balign 4
    .long 4, 4, {note_phys32_entry}             // XEN_ELFNOTE_PHYS32_ENTRY: where a PVH loader starts the kernel
    .asciz "Xen"
    .long pvh_entry - {kernel_base}
.section .note.exo, "a"
.balign 4
    .long 4, 4, {note_abi_version}
    .asciz "Exo"
    .long {abi_version}
.code64
