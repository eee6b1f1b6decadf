//! Says hello: the smallest program.
#![no_std]
#![no_main]

use exo_rt::{environment, print, println};

exo_rt::program!(main);

fn main() {
    print!("hello from {}", environment::name());
    for argument in environment::arguments() {
        print!(" {argument}");
    }
    println!();
}
