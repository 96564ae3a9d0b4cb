//! `turnpike-gateway`: see the library of the same name.

fn main() -> std::process::ExitCode {
    turnpike_gateway::main()
}
