//! Orders that act on the room of a real server.

use super::{ctl, done, order, refused, shown, start};
use crate::support::{Lines as _, Member as _};
use crate::unix::Folder;

#[test]
fn an_operator_lists_and_removes_members_and_speaks_to_all() {
    let folder = Folder::new("control-orders");
    let path = folder.socket("control");
    let server = start(&path);
    let [mut ana, mut bob] = server.join_introduced();
    ana.rename("ana");
    bob.expect("* client-1 is now ana");
    let (code, rows, _) = shown(&order(&path, &["who"]));
    assert_eq!((code, rows.lines().count()), (Some(0), 2), "{rows}");
    assert!(rows.starts_with("ana "), "{rows}");
    let rows = shown(&order(&path, &["--json", "who", "-a"])).1;
    let objects: Vec<serde_json::Value> =
        rows.lines().map(|row| serde_json::from_str(row).expect("an object")).collect();
    assert_eq!(objects[0]["name"], "ana");
    assert_eq!(objects[0]["address"], ana.address().to_string());
    assert_eq!(objects[1]["name"], "client-2");
    assert_eq!(shown(&order(&path, &["kick", "carol"])), refused("nobody here is called carol"));
    assert_eq!(shown(&order(&path, &["kick", "ana", "be", "nice"])), done("ana was removed\n"));
    ana.expect_all(["* you were removed by the operator: be nice", "FIN"]);
    bob.expect("* ana was removed");
    // Words are joined by one blank, and text in one word stays as it is.
    assert_eq!(shown(&order(&path, &["announce", "lunch  is", "ready"])), done(""));
    bob.expect("server> lunch  is ready");
    let path = path.to_str().expect("UTF-8");
    let output = ctl(&["--control", path, "help"]).output().expect("it can be started");
    assert!(shown(&output).1.contains("kick NAME [REASON]"), "{output:?}");
}
