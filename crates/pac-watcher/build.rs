//! Tells the tests whether they are for a real cluster, so that those that can't run there are ignored, by name.

fn main() {
    let variable = "PAC_TEST_KUBECONFIG";
    println!("cargo::rerun-if-env-changed={variable}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(real_cluster)");
    if std::env::var_os(variable).is_some() {
        println!("cargo::rustc-cfg=real_cluster");
    }
}
