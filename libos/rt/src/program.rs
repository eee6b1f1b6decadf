//! What makes a crate a program: entry point, panic handler, heap, ABI note.
//!
//! It is a macro because these may exist once in a linked program and never in a host test of a crate that uses the runtime.

/// Makes the crate a program that starts at `$main`, a `fn() -> impl exo_rt::start::Status`.
///
/// `program!(main, without_upcalls)` leaves exceptions to the kernel, which ends the program by them. `program!(main, family,
/// member_main)` has the heap that a family shares; environments that it makes begin with `member_main`, a `fn(usize) -> !`.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        $crate::program!(@parts $crate::start::run($main), $crate::heap::Heap, $crate::heap::Heap::new());
    };
    ($main:path, family, $member_main:path) => {
        $crate::program!(@parts $crate::start::run_family($main, $member_main), $crate::family::Heap, $crate::family::Heap);
    };
    ($main:path, without_upcalls) => {
        $crate::program!(@parts $crate::start::run_without_upcalls($main), $crate::heap::Heap, $crate::heap::Heap::new());
    };
    (@parts $run:expr, $heap:ty, $new_heap:expr) => {
        #[global_allocator]
        static EXO_HEAP: $heap = $new_heap;

        #[panic_handler]
        fn exo_panic(information: &core::panic::PanicInfo) -> ! {
            $crate::panic::report(information)
        }

        /// The ABI that the program was built for; VMM and kernel refuse another before its first instruction.
        #[used]
        #[unsafe(link_section = ".note.exo")]
        static EXO_NOTE: $crate::start::Note = $crate::start::Note::THIS;

        #[unsafe(no_mangle)]
        extern "C" fn exo_main() -> ! {
            $run
        }

        // The precompiled `alloc` refers to these two unless the linker drops what would unwind. Nothing unwinds here.
        #[unsafe(no_mangle)]
        extern "C" fn rust_eh_personality() {}

        #[unsafe(no_mangle)]
        extern "C" fn _Unwind_Resume() -> ! {
            $crate::start::exit($crate::panic::PANIC_STATUS)
        }

        /// First instruction: what time it is. All registers are zero, there is no stack.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            core::arch::naked_asm!("rdtsc", "lea rdi, [rip + {main}]", "jmp {enter}",
                main = sym exo_main, enter = sym $crate::start::enter)
        }
    };
}
