// Tables that need no code at boot: GDT, IDT, task state segments, the kernel's page tables, the kernel interface page.

// ---- task state segments, one per vCPU (Intel SDM volume 3, section 8.7); first in the data, so the GDT knows where
.section .descriptors, "aw"
.balign 4096
.globl task_states
task_states:
.set i, 0
.rept {vcpus_max}
    .long 0
    .quad 0                                     // RSP0: the environment page of whoever runs; set at each switch
    .quad 0, 0, 0
    .quad {vcpu_areas} + (i << {area_shift}) + {interrupt_stack_top}
    .quad {vcpu_areas} + (i << {area_shift}) + {fault_stack_top}
    .quad 0                                     // IST3 is not used
    .quad 0                                     // the slice stack of whoever runs; set at each switch
    .quad 0, 0, 0, 0
    .word 0, {no_port_bitmap}                   // no port may be used
    .fill {port_bitmap_size}, 1, 0xff           // the last byte must be all ones
    .balign {tss_stride}
    .set i, i + 1
.endr

.balign 16
gdt:
    .quad 0
    .quad 0x00af9b000000ffff                    // kernel code
    .quad 0x00cf93000000ffff                    // kernel data
    .quad 0                                     // 32-bit user code, which there is not; sysret counts from here
    .quad 0x00cff3000000ffff                    // user data
    .quad 0x00affb000000ffff                    // user code
.set i, 0
.rept {vcpus_max}
    .set base, {task_states} + i * {tss_stride}
    .word {tss_limit}
    .word base & 0xffff
    .byte (base >> 16) & 0xff
    .byte 0x89
    .byte 0
    .byte (base >> 24) & 0xff
    .long 0xffffffff
    .long 0
    .set i, i + 1
.endr
gdt_end:
.balign 8
    .word 0, 0, 0
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
.balign 8
    .word 0
gdt_pointer_low:
    .word gdt_end - gdt - 1
    .long gdt - {kernel_base}
idt_pointer:
    .word 256 * 16 - 1
    .quad idt

// ---- IDT (section 7.14.1): every stub lies in the first 64 KiB of the text
.macro GATE stub, stack, type
    .word \stub - stubs
    .word {kernel_code}
    .byte \stack
    .byte \type
    .word ({stubs} >> 16) & 0xffff
    .long 0xffffffff
    .long 0
.endm
.macro UPCALL_GATE vector
    GATE upcall_\vector, 0, 0x8e
.endm
.balign 16
.globl idt
idt:
    UPCALL_GATE 0
    UPCALL_GATE 1
    GATE machine_fault_2, {fault_stack}, 0x8e   // NMI
    GATE gate_breakpoint, 0, 0xee               // int3: a gate for ring 3
    UPCALL_GATE 4
    UPCALL_GATE 5
    UPCALL_GATE 6
    UPCALL_GATE 7
    GATE machine_fault_8, {fault_stack}, 0x8e   // double fault
    GATE machine_fault_9, {fault_stack}, 0x8e
    UPCALL_GATE 10
    UPCALL_GATE 11
    UPCALL_GATE 12
    UPCALL_GATE 13
    UPCALL_GATE 14
    GATE machine_fault_15, {fault_stack}, 0x8e
    UPCALL_GATE 16
    UPCALL_GATE 17
    GATE machine_fault_18, {fault_stack}, 0x8e  // machine check
    UPCALL_GATE 19
.set vector, 20
.rept {first_device_vector} - 20
    GATE ignored_interrupt, {interrupt_stack}, 0x8e
.endr
.set vector, 0
.rept {device_vectors} + {own_vectors}
    GATE (device_interrupts+vector*8), {interrupt_stack}, 0x8e
    .set vector, vector + 1
.endr
    GATE slice_interrupt, {slice_stack}, 0x8e
    GATE neighbour_interrupt, {interrupt_stack}, 0x8e
.rept 255 - {neighbour_vector}
    GATE ignored_interrupt, {interrupt_stack}, 0x8e
.endr

// ---- page tables (section 5.5): kernel text readable and executable, kernel data writable, devices uncached
.section .tables, "aw"
.balign 4096
.globl boot_root
boot_root:
    .quad boot_identity - {kernel_base} + 0x003 // only until the jump to high addresses
    .fill 510, 8, 0
    .quad kernel_directories - {kernel_base} + 0x003
boot_identity:
    .quad kernel_directory - {kernel_base} + 0x003
    .fill 511, 8, 0
.globl kernel_directories
kernel_directories:
    .fill 510, 8, 0
    .quad kernel_directory - {kernel_base} + 0x003
    .quad device_directory - {kernel_base} + 0x003
.globl kernel_directory
kernel_directory:
    .quad 0x0081                                // 2 MiB with the text: read, execute
    .quad 0x8000000000200083                    // 2 MiB with the data: read, write
    .fill 510, 8, 0
device_directory:
.set i, 0
.rept 512
    .quad 0x800000000000009b + {device_hole} + i * 0x200000
    .set i, i + 1
.endr
// The part of the address space that is the same for every environment: user, read-only.
.globl shared_directories
shared_directories:
    .quad shared_directory - {kernel_base} + 0x005
    .fill 511, 8, 0
.globl shared_directory
shared_directory:
    .quad shared_table - {kernel_base} + 0x005
    .fill 511, 8, 0
shared_table:
    .quad interface_page - {kernel_base} + 0x005
    .fill 511, 8, 0

// ---- kernel interface page: data by boot, code here; ring 3 executes it
.globl interface_page
interface_page:
    .fill {clean_state_offset}, 1, 0
interface_clean_state:
    .word 0x37f                                 // x87 control word after fninit
    .fill 22, 1, 0
    .long 0x1f80                                // MXCSR after reset
    .fill 484, 1, 0
    .fill {gate_code_offset} - {clean_state_offset} - 512, 1, 0
interface_gate_breakpoint:
    int3
    ret
    .balign 16
interface_gate_syscall:
    syscall
    ret
    .balign 16
interface_probe:
    syscall
    ud2
    .balign 16
// A turn begins here: what others left in registers ends before the environment's own code. It goes on where it entered the kernel, by its
// page; the status of the call is 0, or, from the second label of each, in rax. Which of the three: whatever vector registers ring 3 has
// that `fxrstor` does not reach. No upcall comes in between (interface_page.rs).
.globl interface_turn_avx512
interface_turn_avx512:
    xorl %eax, %eax
.globl interface_turn_avx512_status
interface_turn_avx512_status:
    .irp number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vpxord %zmm\number, %zmm\number, %zmm\number
    .endr
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    kxorw %k\number, %k\number, %k\number
    .endr
    jmp interface_turn_avx_status
.globl interface_turn_avx
interface_turn_avx:
    xorl %eax, %eax
.globl interface_turn_avx_status
interface_turn_avx_status:
    vzeroall
    jmp interface_turn_status
.globl interface_turn
interface_turn:
    xorl %eax, %eax
.globl interface_turn_status
interface_turn_status:
    movabsq ${resume_point}, %rdx
    movq (%rdx), %rcx
    movq 24(%rdx), %rsp
    fxrstorq interface_clean_state(%rip)
    movl ${user_code}, %edx                     // a selector that may be loaded, whose base is 0, then none:
    movl %edx, %fs                              // on some CPUs the null selector leaves the base as it was
    movl %edx, %gs
    xorl %edx, %edx
    movl %edx, %ds
    movl %edx, %es
    movl %edx, %fs
    movl %edx, %gs
    xorl %ebx, %ebx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    addl $1, %r15d                              // clears all arithmetic flags
    movl $0, %r15d
    jmpq *%rcx
.globl interface_turn_end
interface_turn_end:
    .balign 16
// A forced switch goes through here where the kernel cannot reach vector registers: it has saved all others, and takes over again at
// the call. The stack pointer is zero, and no interrupt is due but those of devices.
.macro CALL_KERNEL
    movl ${vectors_moved}, %eax
    jmpq *interface_page+{gate_entry_offset}(%rip)
.endm
.globl interface_save_avx512
interface_save_avx512:
    movabsq ${vector_page}, %rax
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovdqu64 %zmm\number, (64 * \number)(%rax)
    .endr
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq %k\number, (2048 + 8 * \number)(%rax)
    .endr
    CALL_KERNEL
.globl interface_load_avx512
interface_load_avx512:
    movabsq ${vector_page}, %rax
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovdqu64 (64 * \number)(%rax), %zmm\number
    .endr
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq (2048 + 8 * \number)(%rax), %k\number
    .endr
    CALL_KERNEL
.globl interface_save_avx
interface_save_avx:
    movabsq ${vector_page}, %rax
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu %ymm\number, (64 * \number)(%rax)
    .endr
    CALL_KERNEL
.globl interface_load_avx
interface_load_avx:
    movabsq ${vector_page}, %rax
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovdqu (64 * \number)(%rax), %ymm\number
    .endr
    CALL_KERNEL
    .org interface_page + 4096
