// Waits in calls of Rust that have mangled names.
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

mod pool {
    use super::*;
    pub struct Pool(pub UnixStream);
    impl Pool {
        #[inline(never)]
        pub fn get(&mut self) -> usize {
            wait_for(&mut self.0) + 1 // mark: wait_for
        }
    }

    #[inline(always)]
    fn wait_for(stream: &mut UnixStream) -> usize {
        let mut buf = [0u8; 64];
        stream.read(&mut buf).unwrap() // mark: read
    }
}

#[inline(always)]
fn run(stream: UnixStream) -> usize {
    pool::Pool(stream).get() // mark: get
}

fn main() {
    let (a, _b) = UnixStream::pair().unwrap();
    println!("ready");
    std::io::stdout().flush().unwrap();
    let got = run(a); // mark: run
    std::process::exit((got == 3) as i32);
}
