//! A process as `/proc` shows it.

use std::fs;

/// A process by its number.
#[derive(Clone, Copy)]
pub struct Proc(pub u32);

impl Proc {
    /// A file of its folder.
    #[track_caller]
    pub fn file(self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.0)).expect("the process is there")
    }

    /// Processor time that it has used, user and system, in ticks of the kernel (10 ms).
    pub fn cpu_ticks(self) -> u64 {
        let number = |field: &String| field.parse::<u64>().expect("a number");
        self.stat()[11..13].iter().map(number).sum()
    }

    /// Whether it sleeps: it has nothing to do, and does not only wait for a processor.
    pub fn is_asleep(self) -> bool {
        self.stat()[0] == "S"
    }

    /// The fields of its `stat`, from its state on.
    fn stat(self) -> Vec<String> {
        let stat = self.file("stat");
        // The name of the command may hold anything; what follows its parenthesis starts with the third field.
        let (_, fields) = stat.rsplit_once(')').expect("a command in parentheses");
        fields.split_whitespace().map(str::to_owned).collect()
    }
}
