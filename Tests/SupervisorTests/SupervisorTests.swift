import Buffers
import Glibc
import Logging
import Platform
import TestSupport
import Testing

@testable import Supervisor

/// Runs a plan of shell scripts and keeps what they print.
final class SupervisorBench {
  let folder: ScratchFolder
  let loop: EventLoop
  let supervisor: Supervisor
  private let keep: LineKeeper

  private final class LineKeeper { var lines: [String] = [] }

  init(_ parts: [PartPlan], folder: ScratchFolder? = nil) throws {
    self.folder = try folder ?? ScratchFolder()
    loop = try EventLoop()
    let keeper = LineKeeper()
    keep = keeper
    var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    logger.logLevel = .critical
    let plan = UpPlan(hubSocket: "\(self.folder.path)/hub.sock", parts: parts)
    supervisor = try Supervisor(plan, loop: loop, logger: logger) { keeper.lines.append("\($0): \($1)") }
  }

  var printed: [String] { keep.lines }

  /// Turns the loop until the condition holds; false when it does not within the time.
  func wait(_ limit: Duration = .seconds(10), until condition: () -> Bool) throws -> Bool {
    let deadline = MonotonicTime.now + limit
    while !condition() {
      let left = deadline - .now
      guard left > .zero else { return false }
      try loop.runOnce(timeout: left)
    }
    return true
  }

  /// Turns the loop for that long.
  func turn(_ time: Duration) throws {
    _ = try wait(time) { false }
  }

  func stop() throws -> Bool {
    var isStopped = false
    supervisor.stop { isStopped = true }
    return try wait { isStopped }
  }
}

func script(
  _ name: String, _ text: String, restarts: Bool = true, provides: PartPlan.Socket? = nil, needs: String? = nil,
  environment: [String] = ["PATH=/usr/bin:/bin"], folder: String = "/"
) -> PartPlan {
  let command = ChildCommand(program: "/bin/sh", arguments: ["-c", text], environment: environment, folder: folder)
  return PartPlan(name: name, command: command, restarts: restarts, provides: provides, needs: needs)
}

private func isAlive(_ pid: Int32) -> Bool {
  kill(pid, 0) == 0
}

@Suite struct SupervisorTests {
  @Test func aPartThatDiesIsStartedAgainLaterEachTime() throws {
    let bench = try SupervisorBench([script("a", "echo run; exit 3")])
    let start = MonotonicTime.now
    bench.supervisor.start()
    #expect(try bench.wait { bench.printed.count == 4 })
    let time = MonotonicTime.now - start
    #expect(bench.printed == Array(repeating: "a: run", count: 4))
    #expect(time > .milliseconds(700), "100 + 200 + 400 ms of delay, but \(time)")
    #expect(try bench.stop())
  }

  @Test func aPartThatIsKilledIsStartedAgain() throws {
    let bench = try SupervisorBench([script("a", "echo run; exec sleep 60")])
    bench.supervisor.start()
    #expect(try bench.wait { bench.printed.count == 1 })
    let first = try #require(bench.supervisor.running["a"])
    kill(first, SIGKILL)
    #expect(try bench.wait { bench.printed.count == 2 })
    #expect(bench.supervisor.running["a"] != first)
    #expect(try bench.stop())
  }

  @Test func aPartOfAnotherPlanStartsAgainAsThatSays() throws {
    let bench = try SupervisorBench([script("a", "trap 'echo hup; exit' HUP; echo old; while :; do sleep 0.01; done")])
    bench.supervisor.start()
    #expect(try bench.wait { bench.printed == ["a: old"] })
    bench.supervisor.update(UpPlan(hubSocket: "", parts: [script("a", "echo new; exec sleep 60")]))
    bench.supervisor.signal(SIGHUP, to: "b")
    bench.supervisor.signal(SIGHUP, to: "a")
    // The shell may also say that the signal ended its sleep.
    #expect(try bench.wait { bench.printed.contains("a: hup") && bench.printed.last == "a: new" })
    #expect(try bench.stop())
  }

  @Test func aCommandThatIsNotToBeRestartedStaysEnded() throws {
    let bench = try SupervisorBench([
      script("vm", "echo run", restarts: false), script("other", "exec sleep 60"),
    ])
    bench.supervisor.start()
    #expect(try bench.wait { bench.supervisor.running["vm"] == nil && !bench.printed.isEmpty })
    try bench.turn(.milliseconds(400))
    #expect(bench.printed == ["vm: run"])
    #expect(bench.supervisor.running.keys.sorted() == ["other"])
    #expect(try bench.stop())
  }

  @Test func aProgramThatIsNotThereIsTriedAgainAndEndsNothingElse() throws {
    let folder = try ScratchFolder()
    let program = "\(folder.path)/late"
    let late = PartPlan(
      name: "late", command: ChildCommand(program: program, arguments: [], environment: [], folder: "/"),
      restarts: true)
    let bench = try SupervisorBench([late, script("other", "exec sleep 60")], folder: folder)
    bench.supervisor.start()
    #expect(bench.supervisor.running.keys.sorted() == ["other"])
    symlink("/bin/pwd", program)
    #expect(try bench.wait { bench.printed.contains("late: /") })
    #expect(try bench.stop())
  }

  @Test func aPartStartsOnceTheSocketItNeedsIsThere() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/gpu.sock"
    let bench = try SupervisorBench([script("vm", "echo run", restarts: false, needs: path)], folder: folder)
    bench.supervisor.start()
    try bench.turn(.milliseconds(100))
    #expect(bench.printed.isEmpty)
    let socket = try UnixSocket.listen(path: path, kind: .stream)
    #expect(try bench.wait { bench.printed == ["vm: run"] })
    _ = socket.raw
    #expect(try bench.stop())
  }

  @Test func theSocketOfAPartThatDiedIsRemoved() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/gpu.sock"
    let part = script("gpu", "read x < \(folder.path)/go; exit 1", provides: .init(path: path, kind: .stream))
    mkfifo("\(folder.path)/go", 0o600)
    let bench = try SupervisorBench([part], folder: folder)
    bench.supervisor.start()
    do { _ = try UnixSocket.listen(path: path, kind: .stream) }
    #expect(SocketFiles.exists(path))
    kill(try #require(bench.supervisor.running["gpu"]), SIGKILL)
    #expect(try bench.wait { !SocketFiles.exists(path) })
    #expect(try bench.stop())
  }

  @Test func stoppingEndsEveryPartAndWhatItStarted() throws {
    let bench = try SupervisorBench([
      script("a", "sleep 60 & echo $!; wait"), script("b", "exec sleep 60"),
    ])
    bench.supervisor.start()
    #expect(try bench.wait { bench.printed.count == 1 })
    let grandchild = try #require(Int32(bench.printed[0].dropFirst(3)))
    let children = bench.supervisor.running.values
    let start = MonotonicTime.now
    #expect(try bench.stop())
    #expect(MonotonicTime.now - start < .seconds(2))
    #expect(children.count == 2 && !children.contains(where: isAlive))
    // It is no child of ours, so it is gone once the init process has taken its end.
    #expect(try bench.wait { !isAlive(grandchild) || isZombie(grandchild) })
  }

  private func isZombie(_ pid: Int32) -> Bool {
    guard let text = try? TextFile.read("/proc/\(pid)/stat", limit: 4096) else { return true }
    return String(decoding: text, as: UTF8.self).contains(") Z ")
  }

  @Test func aPartThatIgnoresTheSignalIsKilledAfterTheWait() throws {
    let bench = try SupervisorBench([script("a", "trap '' TERM; echo ready; while :; do sleep 1; done")])
    bench.supervisor.patience = .milliseconds(300)
    bench.supervisor.start()
    #expect(try bench.wait { bench.printed.count == 1 })
    let start = MonotonicTime.now
    #expect(try bench.stop())
    #expect((.milliseconds(290)...(.seconds(2))).contains(MonotonicTime.now - start))
  }

  @Test func aSecondStopDoesNotWait() throws {
    let bench = try SupervisorBench([script("a", "trap '' TERM; echo ready; while :; do sleep 1; done")])
    bench.supervisor.start()
    #expect(try bench.wait { bench.printed.count == 1 })
    bench.supervisor.stop {}
    let start = MonotonicTime.now
    #expect(try bench.stop())
    #expect(MonotonicTime.now - start < .seconds(2))
  }

  @Test func nothingStartsAgainWhileStopping() throws {
    let bench = try SupervisorBench([script("a", "echo run; exit 1")])
    bench.supervisor.start()
    #expect(try bench.wait { bench.printed.count == 1 && bench.supervisor.running.isEmpty })
    #expect(try bench.stop())
    try bench.turn(.milliseconds(300))
    #expect(bench.printed.count == 1)
  }

  @Test func aChildHasACleanSurrounding() throws {
    let folder = try ScratchFolder()
    let leaked = dup(1)
    defer { close(leaked) }
    signal(SIGUSR1, SIG_IGN)
    let text = """
      env | sort; pwd; readlink /proc/self/fd/0; ls /proc/$$/fd
      grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t'
      """
    let bench = try SupervisorBench(
      [script("a", text, restarts: false, environment: ["PATH=/usr/bin:/bin", "ONLY=this"], folder: folder.path)],
      folder: folder)
    bench.supervisor.start()
    #expect(try bench.wait { bench.supervisor.running.isEmpty })
    let printed = bench.printed.map { String($0.dropFirst(3)) }.filter { !$0.hasPrefix("_=") }
    #expect(
      printed.prefix(8) == [
        "ONLY=this", "PATH=/usr/bin:/bin", "PWD=\(folder.path)", folder.path, "/dev/null", "0", "1", "2",
      ])
    // Above signal 31 are those that the C library keeps for itself.
    for (name, line) in zip(["SigBlk", "SigIgn"], printed.dropFirst(8)) {
      let mask = try #require(UInt64(line.dropFirst(name.count + 1), radix: 16), "\(line)")
      #expect(line.hasPrefix(name) && mask & 0x7FFF_FFFF == 0, "\(line)")
    }
    #expect(printed.count == 10)
  }

  @Test func outputComesLineByLineWithoutControlCharacters() throws {
    let bench = try SupervisorBench([
      script("a", "printf 'one\\r\\ntwo\\033[2J\\n\\tthree'; printf 'four\\n' >&2; printf five", restarts: false)
    ])
    bench.supervisor.start()
    #expect(try bench.wait { bench.supervisor.running.isEmpty })
    #expect(bench.printed == ["a: one", "a: two^[[2J", "a: \tthreefour", "a: five"])
  }

  @Test func aLineWithoutEndIsPassedOnInPieces() throws {
    let bench = try SupervisorBench([script("a", "head -c 10000 /dev/zero | tr '\\0' x", restarts: false)])
    bench.supervisor.start()
    #expect(try bench.wait { bench.supervisor.running.isEmpty })
    #expect(bench.printed.map(\.count) == [4099, 4099, 1811])
  }
}

@Suite struct SupervisorBeginTests {
  @Test func aSecondSupervisorOfAHubSocketIsRefused() throws {
    let folder = try ScratchFolder()
    let first = try SupervisorBench([], folder: folder)
    #expect(throws: SupervisorError.alreadyRunning(socket: "\(folder.path)/hub.sock", process: getpid())) {
      try SupervisorBench([], folder: folder)
    }
    _ = first.printed
  }

  @Test func theSocketIsFreeAgainWhenTheFirstHasGone() throws {
    let folder = try ScratchFolder()
    do { _ = try SupervisorBench([], folder: folder) }
    _ = try SupervisorBench([], folder: folder)
  }

  @Test func aStaleSocketIsRemovedAndALiveOneRefused() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/gpu.sock"
    let part = script("gpu", "exec sleep 60", provides: .init(path: path, kind: .stream))
    do { _ = try UnixSocket.listen(path: path, kind: .stream) }
    #expect(SocketFiles.exists(path))
    do { _ = try SupervisorBench([part], folder: folder) }
    #expect(!SocketFiles.exists(path))
    let live = try UnixSocket.listen(path: path, kind: .stream)
    #expect(throws: SupervisorError.socketInUse(path)) { try SupervisorBench([part], folder: folder) }
    #expect(SocketFiles.exists(path))
    _ = live.raw
  }

  @Test func aFileThatIsNoSocketIsLeftAlone() throws {
    let folder = try ScratchFolder()
    let path = "\(folder.path)/precious"
    close(open(path, O_CREAT | O_WRONLY, 0o600))
    let part = script("gpu", "exec sleep 60", provides: .init(path: path, kind: .stream))
    #expect(throws: SupervisorError.notASocket(path)) { try SupervisorBench([part], folder: folder) }
    #expect(access(path, F_OK) == 0)
  }

  @Test func aSocketsFolderIsMade() throws {
    let folder = try ScratchFolder()
    let inner = "\(folder.path)/inner"
    let part = script("gpu", "exec sleep 60", provides: .init(path: "\(inner)/gpu.sock", kind: .stream))
    _ = try SupervisorBench([part], folder: folder)
    var status = stat()
    #expect(stat(inner, &status) == 0 && status.st_mode & 0o777 == 0o700)
    rmdir(inner)
    let deep = script("gpu", "exit", provides: .init(path: "\(inner)/deep/gpu.sock", kind: .stream))
    #expect(throws: SupervisorError.self) { try SupervisorBench([deep], folder: folder) }
  }
}

@Suite struct RestartDelayTests {
  @Test func theDelayDoublesToItsLimit() {
    var delay = RestartDelay()
    let delays = (0..<8).map { _ in delay.next(after: .milliseconds(1)).nanoseconds / 1_000_000 }
    #expect(delays == [100, 200, 400, 800, 1600, 3200, 5000, 5000])
  }

  @Test func aLongLifeBeginsItAgain() {
    var delay = RestartDelay()
    for _ in 0..<8 { _ = delay.next(after: .seconds(9)) }
    #expect(delay.next(after: .seconds(10)) == .milliseconds(100))
    #expect(delay.next(after: .seconds(1)) == .milliseconds(200))
  }
}

@Suite struct UpPlanTests {
  private func plan(_ text: String = fullConfiguration) throws -> UpPlan {
    UpPlan(
      try configuration(text), file: "/etc/muntin/test.toml", hubSocket: "/run/default.sock",
      executable: "/usr/bin/muntin",
      environment: ["PATH=/bin", "HOME=/root", "SECRET=x", "MUNTIN_LOG=debug", "MUNTIN_VM=wrong", "LC_ALL=C"])
  }

  @Test func thePartsAreTheHubTheDisplaysTheBackEndsAndTheMachines() throws {
    #expect(
      try plan().parts.map(\.name) == ["hub", "display wall", "display spare", "gpu alpha", "gpu beta", "vm alpha"])
  }

  @Test func aCardMayTakeItselfItsGuestsPicturesAndTwiceWhatItDraws() throws {
    let most = try plan().parts.map(\.memoryMaximum)
    #expect(most == [nil, nil, nil, (512 << 20) + (2 << 30), 257 << 20, nil])
  }

  @Test func eachPartGetsItsCommandLine() throws {
    let lines = try plan().parts.map { ([$0.command.program] + $0.command.arguments).joined(separator: " ") }
    let hub = "/run/muntin/hub.sock"
    #expect(
      lines == [
        "/usr/bin/muntin hub --socket-path \(hub) --config /etc/muntin/test.toml",
        "/usr/bin/muntin compositor --hub \(hub) --display wall --output vnc=127.0.0.1:5901 --size 1920x720 "
          + "--refresh 30 --vnc-password-file /etc/muntin/secret",
        "/usr/bin/muntin compositor --hub \(hub) --display spare --output headless --size 640x480",
        "/usr/bin/muntin gpu --socket-path /run/muntin/alpha.sock --hub \(hub) --vm alpha --size 960x720 "
          + "--size 320x200 --memory-limit 268435456 --allocate host --heap system --host-visible 1073741824 "
          + "--blob-alignment 16K --channel hub --share-displays --virgl --venus "
          + "--render-node /dev/dri/renderD128 --sandbox log --hang-seconds 5 --wayland /etc/muntin/wayland-0 "
          + "--limit buffers=100 --limit guest_memory=4096 --limit imported=1073741824",
        "/usr/bin/muntin gpu --socket-path /etc/muntin/beta.sock --hub \(hub) --vm beta --size 960x720 --size 640x400 "
          + "--memory-limit 1048576 --host-visible 0",
        "qemu-system-x86_64 -m 1G",
      ])
  }

  @Test func ourPartsSeeOnlyTheEnvironmentTheyUse() throws {
    #expect(
      try plan().parts.first?.command.environment
        == ["PATH=/bin", "HOME=/root", "MUNTIN_LOG=debug", "MUNTIN_VM=wrong", "LC_ALL=C"])
    #expect(try plan().parts.first?.command.folder == "/")
    #expect(try plan().parts.first?.command.name == "muntin")
  }

  @Test func aMachinesCommandSeesTheUsersEnvironmentAndItsSockets() throws {
    let machine = try #require(try plan().parts.last)
    #expect(
      machine.command.environment == [
        "PATH=/bin", "HOME=/root", "SECRET=x", "MUNTIN_LOG=debug", "LC_ALL=C", "MUNTIN_HUB=/run/muntin/hub.sock",
        "MUNTIN_VM=alpha", "MUNTIN_SOCKET=/run/muntin/alpha.sock",
      ])
    #expect(machine.command.folder == "/etc/muntin")
    #expect(machine.restarts)
    #expect(machine.needs == "/run/muntin/alpha.sock")
  }

  @Test func theDefaultHubSocketStandsInForNone() throws {
    #expect(try plan(configuration()).hubSocket == "/run/default.sock")
    #expect(try plan(configuration(machine: "command = [\"x\"]")).parts.last?.restarts == false)
  }
}
