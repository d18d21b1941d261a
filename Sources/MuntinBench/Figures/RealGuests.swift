import Buffers
import Glibc
import HubProtocol

/// Whole 1080p frames from one Linux guest to another: in shared memory, and by the network between them, with the same
/// drawing and the same reading; and how soon a guest has the first frame of what it was granted.
enum RealGuests {
  private static let size = Size.fullHD
  private static let seconds = 5.0
  private static let grants = 10

  private static let meanings = [
    "every pixel of each frame is new, and is read and checked; both ways by the same loops (Sources/MuntinBenchGuest)",
    "network: TCP between virtio-net cards with an MTU of 32768, which the two QEMUs join by a Unix socket",
    "CPU: of both QEMUs, both graphics cards and the hub",
    "carrying: what is left without the drawing and reading, which one guest does alone for comparison",
    "QEMU without KVM: guests' instructions are emulated, which makes drawing and reading, and copying, dear",
  ]

  static func measure(
    _ programs: Programs, _ files: Machine.Files, _ folder: WorkFolder, rounds: Int, _ progress: (String) -> Void,
    _ results: Results
  ) throws(BenchError) {
    progress("real guests boot")
    let stage = try Stage(programs, files, folder)
    for round in 0..<rounds {
      progress("round \(round + 1) of \(rounds): real guests")
      try frames(stage, results)
    }
    progress("real guests: small pictures and grants")
    try small(stage, results)
    try firsts(stage, results)
  }

  /// Frames a second, and seconds of the host's processors for each.
  private struct Cost {
    let rate: Double, cpu: Double
  }

  private static func frames(_ stage: Stage, _ results: Results) throws(BenchError) {
    let alone = try stage.drawing(size, seconds)
    let network = try stage.network(size, seconds)
    for (access, form) in [("read-write", "shared memory"), ("read", "its own copy")] {
      let ours = try stage.sharing(size, access, seconds)
      let name = "1080p, \(form)"
      let rate = Figure(.guests, "\(name): frames", .perSecond, beside: .network, .ratioAtLeast(10))
      results.record(rate, ours: ours.rate, peer: network.rate)
      if access == "read" { for meaning in meanings { results.note(rate, meaning) } }
      results.record(
        Figure(.guests, "\(name): CPU per frame", .milliseconds, beside: .network, .ratioAtMost(0.1)),
        ours: ours.cpu, peer: network.cpu)
      results.record(
        Figure(.guests, "\(name): CPU per frame for carrying it", .milliseconds, beside: .network, .ratioAtMost(0.1)),
        ours: max(0, ours.cpu - alone.cpu), peer: network.cpu - alone.cpu)
    }
    results.record(
      Figure(.guests, "1080p, drawing and reading alone: CPU per frame", .milliseconds, beside: .nothing),
      ours: alone.cpu)
  }

  private static func small(_ stage: Stage, _ results: Results) throws(BenchError) {
    let cost = try stage.sharing(Size(width: 64, height: 64), "read-write", seconds)
    results.record(
      Figure(.guests, "64x64: update, wake-up, reading, and its being known", .microseconds, beside: .nothing),
      ours: 1e6 / cost.rate)
  }

  private static func firsts(_ stage: Stage, _ results: Results) throws(BenchError) {
    let figure = Figure(
      .guests, "1080p: from the grant until the first frame has been read", .milliseconds, beside: .nothing,
      .atMost(100))
    for _ in 0..<grants { results.record(figure, ours: try stage.firstFrame(size)) }
    results.note(figure, "first frame: until the host has the guest's word for it, by its serial port")
  }

  /// Two guests with cards that have channels, and a network between them.
  private final class Stage {
    private let hub: (program: Program, socket: String)
    private let cards: [Program]
    private let owner: Machine, importer: Machine
    private let control: ControlClient

    init(_ programs: Programs, _ files: Machine.Files, _ folder: WorkFolder) throws(BenchError) {
      hub = try programs.startHub(folder)
      let first = try programs.startBackend(.muntin, folder, hub: hub.socket, name: "a", hasChannel: true)
      let second = try programs.startBackend(.muntin, folder, hub: hub.socket, name: "b", hasChannel: true)
      cards = [first.program, second.program]
      let network = folder.newPath("network")
      owner = try Machine(files, folder, card: first.socket, network: network, listening: true)
      importer = try Machine(files, folder, card: second.socket, network: network, listening: false)
      guard let name = PeerName("bench-grant") else { throw .noRoom("a name") }
      do throws(ControlError) {
        control = try ControlClient(hubPath: hub.socket, name: name)
      } catch {
        throw .program("hub", error.description)
      }
      for (machine, address) in [(owner, "10.0.0.1"), (importer, "10.0.0.2")] {
        try machine.run("for name in failover net_failover virtio_net; do insmod /modules/$name.ko; done")
        try machine.run("ifconfig lo up; ifconfig eth0 \(address) netmask 255.255.255.0 up")
      }
    }

    private func grant() throws(BenchError) -> GrantID {
      guard let a = PeerName("a"), let b = PeerName("b") else { throw .noRoom("a name") }
      do throws(ControlError) {
        return try control.grant(
          GrantRequest(owner: Party(.vm, a), to: Party(.vm, b), object: .everything, access: .readWrite))
      } catch {
        throw .program("hub", error.description)
      }
    }

    private func revoke(_ grant: GrantID) throws(BenchError) {
      do throws(ControlError) { try control.revoke(grant) } catch { throw .program("hub", error.description) }
    }

    // MARK: Frames

    func drawing(_ size: Size, _ seconds: Double) throws(BenchError) -> Cost {
      try owner.tell("muntin-bench-guest draw \(size) &")
      return try cost(by: owner, seconds)
    }

    func network(_ size: Size, _ seconds: Double) throws(BenchError) -> Cost {
      try importer.tell("muntin-bench-guest receive \(size) &")
      try owner.tell("muntin-bench-guest send 10.0.0.2 \(size) &")
      return try cost(by: importer, seconds)
    }

    func sharing(_ size: Size, _ access: String, _ seconds: Double) throws(BenchError) -> Cost {
      let grant = try grant()
      try owner.tell("muntin-bench-guest export frames \(size) 10000 &")
      _ = try owner.expect("exported")
      try importer.tell("muntin-bench-guest import frames a \(access) &")
      let cost = try cost(by: importer, seconds)
      try revoke(grant)
      return cost
    }

    private var cpuNanoseconds: UInt64 {
      (cards + [hub.program, owner.program, importer.program]).reduce(0) { $0 + $1.usage.cpuNanoseconds }
    }

    /// Counts frames that a guest says it has read, and ends what runs in both.
    private func cost(by reader: Machine, _ seconds: Double) throws(BenchError) -> Cost {
      for _ in 0..<4 { _ = try reader.expect("frames") }
      let first = try count(reader)
      var last = first
      while Double(last.time - first.time) < seconds * 1e9 { last = try count(reader) }
      for machine in [importer, owner] { try machine.run("killall -9 muntin-bench-guest 2>/dev/null; sleep 0.2") }
      let frames = Double(last.frames - first.frames)
      return Cost(
        rate: frames * 1e9 / Double(last.time - first.time), cpu: Double(last.cpu - first.cpu) / frames / 1e6)
    }

    private func count(_ reader: Machine) throws(BenchError) -> (frames: Int, time: Int64, cpu: UInt64) {
      let words = try reader.expect("frames").split(separator: " ").dropFirst().compactMap { Int($0) }
      guard words.count == 2 else { throw .program("guest", "no count of frames") }
      guard words[1] == 0 else { throw .program("guest", "\(words[1]) frames were not whole") }
      return (words[0], Stopwatch.now, cpuNanoseconds)
    }

    // MARK: Grants

    /// Milliseconds from a grant until the guest has read the first frame.
    func firstFrame(_ size: Size) throws(BenchError) -> Double {
      try owner.tell("muntin-bench-guest export frames \(size) 30 &")
      _ = try owner.expect("exported")
      try importer.tell("muntin-bench-guest first frames a &")
      _ = try importer.expect("waiting")
      usleep(200_000)
      let start = Stopwatch.now
      let grant = try grant()
      let word = try importer.expect("first")
      let time = Double(Stopwatch.now - start) / 1e6
      guard word == "first whole" else { throw .program("guest", "the first frame was not whole") }
      try revoke(grant)
      try owner.run("killall -9 muntin-bench-guest; sleep 0.1")
      return time
    }
  }
}
