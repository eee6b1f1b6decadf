//! How a program has its queue served, as its arguments say.

use alloc::format;
use alloc::string::String;

use exo_rt::abi::function::QueueService;
use exo_rt::environment;

/// Polled, or with `--interrupts` by events. Other arguments are refused.
pub fn service_by_arguments() -> Result<QueueService, String> {
    let mut service = QueueService::Polled;
    for argument in environment::arguments() {
        match argument.as_str() {
            "--interrupts" => service = QueueService::Events,
            other => {
                return Err(format!("unknown argument '{other}'; there is --interrupts"));
            }
        }
    }
    Ok(service)
}
