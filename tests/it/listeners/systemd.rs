//! Sockets that a service manager passes, and what it is told.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use super::load::Load;
use crate::harness::DEADLINE;
use crate::harness::client::Target;
use crate::harness::elasticsearch::FakeElasticsearch;
use crate::harness::plan::Plan;
use crate::harness::ports::free_port;
use crate::harness::process::{Process, run_to_end, sidegate};
use crate::harness::server::Server;
use crate::harness::tools;

fn plan(fake: &FakeElasticsearch, app: &Server) -> Plan {
    Plan::with_elasticsearch(fake)
        .address("systemd:web")
        .upstream("app", app)
        .route("open", "/open", "allow: everyone")
}

/// The next message of the service, one line per assignment.
fn told(manager: &UnixDatagram) -> String {
    let mut message = [0; 1024];
    let length = manager.recv(&mut message).expect("a message");
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[test]
fn passed_sockets_are_found_by_name_and_the_manager_is_told_how_things_stand() {
    let Some(activate) = tools::find("systemd-socket-activate", "a real service manager's part")
    else {
        return;
    };
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let (port, socket) = (free_port(), folder.path().join("app.sock"));
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let config = plan(&fake, &app)
        .more_listeners("{ name: inside, address: \"systemd:app\" }")
        .write(folder.path());
    let mut process = Process::spawn(
        Command::new(activate)
            .args(["-l", &format!("127.0.0.1:{port}"), "-l"])
            .arg(&socket)
            .arg("--fdname=web:app")
            .arg("-E")
            .arg(format!("NOTIFY_SOCKET={}/notify", folder.path().display()))
            .arg(env!("CARGO_BIN_EXE_sidegate"))
            .args(["run", "--config"])
            .arg(&config),
    );
    // It listens, and starts the program when the first client comes.
    assert!(
        process
            .stderr
            .find(|line| line.contains(&port.to_string()))
            .is_some()
    );
    let (web, inside) = (
        Target::http(&format!("127.0.0.1:{port}")),
        Target::http(&format!("unix:{}", socket.display())),
    );
    web.get("/open").send().expect(200);
    inside.get("/open").send().expect(200);
    assert_eq!(told(&manager).trim(), "READY=1");
    process.signal("HUP");
    let reloading = told(&manager);
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(told(&manager).trim(), "READY=1");
    process.signal("TERM");
    assert_eq!(told(&manager).trim(), "STOPPING=1");
    assert_eq!(process.wait().code(), Some(0));
    assert!(socket.exists(), "the file is the manager's");
}

#[test]
fn a_name_that_nobody_passed_is_told() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let folder = tempfile::tempdir().unwrap();
    let config = plan(&fake, &app).write(folder.path());
    let ended = run_to_end(&["run", "--config", config.to_str().unwrap()]);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("no socket named web"), "{ended:?}");
}

/// The program with a socket that this test keeps, as systemd does. `LISTEN_FDS_FIRST_FD` is `listenfd`'s own, because standard
/// input is the one place where a test may put a socket without unsafe code.
fn with_passed_socket(socket: &TcpListener, plan: &Plan) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = plan.write(folder.path());
    let socket = OwnedFd::from(socket.try_clone().unwrap());
    let process = Process::spawn(
        sidegate()
            .args(["run", "--config"])
            .arg(&config)
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "web")
            .env("LISTEN_FDS_FIRST_FD", "0")
            .stdin(Stdio::from(socket)),
    );
    assert!(
        process
            .stderr
            .find(|line| line.contains("listening"))
            .is_some()
    );
    (process, folder)
}

#[test]
fn a_restart_behind_a_passed_socket_loses_no_request() {
    let (fake, app) = (FakeElasticsearch::with_people(), Server::echoing());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::http(&socket.local_addr().unwrap().to_string());
    let plan = plan(&fake, &app);
    let (mut process, mut folder) = with_passed_socket(&socket, &plan);
    let load = Load::start(&target, 4, 2, 0);
    for _ in 0..2 {
        load.wait_for(100);
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(0));
        // Nobody accepts now; the socket keeps who comes.
        (process, folder) = with_passed_socket(&socket, &plan);
    }
    load.wait_for(100);
    load.stop();
    drop((process, folder));
}
