//! Manifests that are right, and every way in which one can be wrong.

use exo_abi::environment::ENVIRONMENTS_MAX;
use exo_abi::function::FUNCTIONS_MAX;

use super::*;

const HASH: &str = r#"
description = "two disks"
vcpus = 2
memory = "128 MiB"
[[function]]
name = "disk"
device = "block"
disk = 1
extent = { first = 0, sectors = 8 }
readonly = true
queues = 2
[[function]]
name = "terminal"
device = "console"
[[environment]]
name = "hash"
program = "hash"
arguments = ["a"]
memory = "8 MiB"
vcpu = 1
console = true
functions = ["disk", "terminal"]
quota = { frames = 4096, tables = 65, capabilities = 33, dma_mappings = 17 }
"#;

/// The error of a manifest, without its origin.
fn refusal(text: &str) -> String {
    let error = Manifest::parse(text, "x.toml").expect_err(text);
    assert!(matches!(error, Error::BadInput(_)), "{error:?}");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    message
        .strip_prefix("manifest x.toml")
        .expect("the origin comes first")
        .to_owned()
}

#[test]
fn whole_manifest_is_read() {
    let manifest = Manifest::parse(HASH, "").unwrap();
    assert_eq!(manifest.memory, Size(128 << 20));
    let [disk, terminal] = manifest.functions.as_slice() else {
        panic!("functions")
    };
    assert_eq!(
        (disk.device, disk.disk, disk.readonly, disk.queues),
        (Device::Block, Some(1), true, 2)
    );
    assert_eq!(
        disk.extent,
        Some(Extent {
            first: 0,
            sectors: 8
        })
    );
    assert_eq!((terminal.device, terminal.queues), (Device::Console, 1));
    let [hash] = manifest.environments.as_slice() else {
        panic!("environments")
    };
    assert_eq!(
        (hash.vcpu, hash.console, hash.memory),
        (Some(1), true, Size(8 << 20))
    );
    assert_eq!(hash.quota.dma_mappings, Some(17));
    assert_eq!(manifest.function_index("terminal"), Some(1));
}

#[test]
fn small_manifest_gets_defaults() {
    let text = "description = \"\"\n[[environment]]\nname = \"a\"\nprogram = \"b\"\n";
    let manifest = Manifest::parse(text, "").unwrap();
    assert_eq!((manifest.vcpus, manifest.memory), (1, Size(64 << 20)));
    let [one] = manifest.environments.as_slice() else {
        panic!("environments")
    };
    assert_eq!(
        (one.memory, one.console, one.vcpu),
        (Size(4 << 20), false, None)
    );
}

#[test]
fn syntax_errors_name_the_line() {
    assert!(refusal("description = \"\"\nvcpus = = 1\n").starts_with(", line 2: "));
    let message = refusal(&HASH.replace("readonly", "red_only"));
    assert!(
        message.starts_with(", line 10: ") && message.contains("red_only"),
        "{message}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    for (from, to, reason) in [
        ("vcpus = 2", "vcpus = 0", "vcpus = 0; it must be 1 to 32"),
        ("vcpus = 2", "vcpus = 33", "vcpus = 33; it must be"),
        (
            "vcpus = 2",
            "vcpus = 1",
            "vcpu = 1, but the image has vcpus = 1",
        ),
        (
            "\"128 MiB\"",
            "\"1 MiB\"",
            "memory = 1 MiB; it must be a multiple of 2 MiB",
        ),
        ("\"128 MiB\"", "\"1 TiB\"", "memory = 1024 GiB; it must be"),
        ("\"128 MiB\"", "\"much\"", "`much` is no size"),
        (
            "\"8 MiB\"",
            "\"0\"",
            "memory = 0 bytes; it must be a multiple",
        ),
        (
            "\"8 MiB\"",
            "\"3 MiB\"",
            "memory = 3 MiB; it must be a multiple",
        ),
        (
            "queues = 2",
            "queues = 9",
            "function `disk`: queues = 9; it must be 1 to 8",
        ),
        ("queues = 2", "queues = 0", "queues = 0"),
        (
            "first = 0",
            "first = 18446744073709551615",
            "beyond any disk",
        ),
        (
            "device = \"console\"",
            "device = \"console\"\ndisk = 0",
            "for device = \"block\" only",
        ),
        ("device = \"console\"", "device = \"toaster\"", "toaster"),
        (
            "name = \"terminal\"",
            "name = \"disk\"",
            "two functions are named `disk`",
        ),
        (
            "\"disk\", \"terminal\"",
            "\"disk\", \"disk\"",
            "function `disk` is given out twice",
        ),
        (
            "\"disk\", \"terminal\"",
            "\"net\"",
            "there is no [[function]] named `net`",
        ),
        (
            "program = \"hash\"",
            "program = \"../hash\"",
            "must be the bare name",
        ),
        (
            "program = \"hash\"",
            "program = \"\"",
            "must be the bare name",
        ),
        ("name = \"hash\"", "name = \"\"", "must have 1 to 32 bytes"),
        (
            "name = \"hash\"",
            "name = \"123456789012345678901234567890123\"",
            "must have 1 to 32 bytes",
        ),
        (
            "name = \"hash\"",
            "name = \"a\\u0007\"",
            "none a control character",
        ),
        ("[\"a\"]", "[\"a\\u0000\"]", "zero byte"),
    ] {
        let text = HASH.replacen(from, to, 1);
        assert_ne!(text, HASH, "{from} is not there");
        let message = refusal(&text);
        assert!(message.contains(reason), "{reason:?} is not in {message:?}");
    }
}

#[test]
fn too_many_environments_and_functions_are_refused() {
    let mut text = "description = \"\"\n".to_owned();
    for index in 0..=ENVIRONMENTS_MAX {
        text.push_str(&format!(
            "[[environment]]\nname = \"{index}\"\nprogram = \"b\"\n"
        ));
    }
    let message = refusal(&text);
    assert!(message.contains("it has 1025 environments"), "{message}");
    assert!(message.contains("at most 1024"), "{message}");
    let mut text = HASH.to_owned();
    for index in 2..FUNCTIONS_MAX {
        text.push_str(&format!(
            "[[function]]\nname = \"{index}\"\ndevice = \"console\"\n"
        ));
    }
    assert!(refusal(&text).contains("64 functions; at most 63 fit"));
}

#[test]
fn image_without_environments_is_refused() {
    assert!(refusal("description = \"\"\n").contains("no [[environment]]"));
}

#[test]
fn files_that_are_no_manifests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.toml");
    assert!(matches!(Manifest::read(&path), Err(Error::MissingInput(_))));
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(
        Manifest::read(&path)
            .unwrap_err()
            .to_string()
            .contains("is not UTF-8 text; name")
    );
    std::fs::File::create(&path)
        .unwrap()
        .set_len(MANIFEST_BYTES_MAX + 1)
        .unwrap();
    assert!(
        Manifest::read(&path)
            .unwrap_err()
            .to_string()
            .contains("make sense; is it really")
    );
    assert!(matches!(
        Manifest::read(folder.path()),
        Err(Error::BadInput(_))
    ));
}
