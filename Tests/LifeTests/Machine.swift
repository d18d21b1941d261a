import Buffers
import Glibc
import HubProtocol
import LifeSupport
import Testing

/// A process of a test, killed with this object.
final class Process {
  let pid: pid_t
  private let output: String

  init(_ program: String, _ arguments: [String], output: String, user: UInt32? = nil) throws {
    self.output = output
    let asUser = user.map { ["/usr/bin/setpriv", "--reuid=\($0)", "--regid=\($0)", "--clear-groups"] } ?? []
    let command = asUser + [program] + arguments
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    let words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    let settings: [String] = ["PATH=/usr/bin:/bin", "SWIFT_BACKTRACE=enable=no"]
    let variables: [UnsafeMutablePointer<CChar>?] = settings.map { strdup($0) } + [nil]
    defer { (words + variables).forEach { free($0) } }
    var pid: pid_t = 0
    let failure = posix_spawn(&pid, command[0], &actions, nil, words, variables)
    try #require(failure == 0)
    self.pid = pid
  }

  deinit { kill9() }

  private var isGone = false

  /// kill -9.
  func kill9() {
    guard !isGone else { return }
    isGone = true
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
  }

  /// What it has printed.
  var text: String { Kernel.text(output) }
}

/// A hub, a VM's graphics card and a display, each in a process of its own that a test kills and starts again.
final class Machine {
  static let size = Size(width: 256, height: 128)
  static let byteCount: UInt64 = 256 * 128 * 4

  let folder: String
  private var count = 0
  private(set) var hub: Process!
  private(set) var gpu: Process!
  private(set) var compositor: Process?
  private var others: [Process] = []

  private let hubUser: UInt32?

  /// `more` is configuration; a `hubUser` is who runs the hub, if not the tests' own user.
  init(leaseLimit: Double = 10, hasDisplay: Bool = true, more: String = "", hubUser: UInt32? = nil) throws {
    self.hubUser = hubUser
    var template = Array("/tmp/muntin-life-XXXXXX".utf8CString)
    folder = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    let file = try #require(fopen("\(folder)/c.toml", "w"))
    fputs(
      """
      [hub]
      lease_limit = \(leaseLimit)
      [[display]]
      name = "main"
      size = "320x200"
      output = "headless"
      [[vm]]
      name = "alpha"
      socket = "alpha.sock"
      [[vm.scanout]]
      display = "main"
      x = 0
      y = 0
      width = 256
      height = 128
      [[grant]]
      from = "vm:alpha"
      to = "application:holder"
      \(more)

      """, file)
    fclose(file)
    if geteuid() == 0 { chmod(folder, 0o777) }
    try startHub()
    try eventually("the hub listens") { (try? control()) != nil }
    try startGPU()
    if hasDisplay { try startCompositor() }
  }

  deinit {
    let everybody = [hub, gpu, compositor].compactMap { $0 } + others
    for process in everybody { process.kill9() }
    for name in ["c.toml", "hub.sock", "alpha.sock"] { unlink("\(folder)/\(name)") }
    for number in 0...count { unlink("\(folder)/\(number).log") }
    rmdir(folder)
  }

  var hubSocket: String { "\(folder)/hub.sock" }
  var gpuSocket: String { "\(folder)/alpha.sock" }

  // MARK: Processes

  private static let products: String = {
    let own = (try? Machine.link("/proc/self/exe")) ?? ""
    return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
  }()

  private static func link(_ path: String) throws -> String {
    var room = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &room, room.count)
    try #require(count > 0)
    return String(decoding: room[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private func start(_ program: String, _ arguments: [String], user: UInt32? = nil) throws -> Process {
    count += 1
    return try Process("\(Self.products)/\(program)", arguments, output: "\(folder)/\(count).log", user: user)
  }

  func startHub() throws {
    hub = try start("muntin", ["hub", "--socket-path", hubSocket, "--config", "\(folder)/c.toml"], user: hubUser)
  }

  func startGPU() throws {
    gpu = try start(
      "muntin", ["gpu", "--socket-path", gpuSocket, "--hub", hubSocket, "--vm", "alpha", "--size", "256x128"])
  }

  func startCompositor() throws {
    compositor = try start("muntin", ["compositor", "--hub", hubSocket, "--size", "320x200"])
  }

  /// A process of LifeParts.
  func part(_ arguments: String..., user: UInt32? = nil) throws -> Process {
    let process = try start("LifeParts", arguments, user: user)
    others.append(process)
    return process
  }

  func holder(_ id: BufferID, releases: Bool) throws -> Process {
    let holder = try part("hold", hubSocket, "holder", "\(id)", releases ? "releases" : "keeps")
    try eventually("the holder holds") { holder.text.contains("held ") }
    return holder
  }

  /// A guest, once the card listens.
  func guest() throws -> SmallGuest {
    var guest: SmallGuest?
    try eventually("the card listens") {
      guest = try? SmallGuest(socket: gpuSocket)
      return guest != nil
    }
    return try #require(guest)
  }

  var pids: [Int32] { ([hub, gpu, compositor].compactMap { $0 } + others).map(\.pid) }

  /// Descriptors and mappings of the hub, the card and the display: what must not grow however often something ends.
  var holdings: [[Int]] {
    [hub, gpu, compositor].compactMap { $0 }.map {
      [Kernel.descriptors(of: $0.pid), Kernel.memoryMappings(of: $0.pid)]
    }
  }

  /// Kills and forgets the processes of LifeParts.
  func killParts() {
    for process in others { process.kill9() }
    others.removeAll()
  }

  /// Does something that ends twice: the second time leaves no descriptor and no mapping more than the first.
  func twice(_ source: SourceLocation = #_sourceLocation, _ body: () throws -> Void) throws {
    try body()
    killParts()
    try expectNothing(source)
    var first = holdings
    // What was just let go, a link for one, is settled when it does not change any more.
    try eventually("settled", source) {
      usleep(100_000)
      defer { first = holdings }
      return first == holdings
    }
    try body()
    killParts()
    try expectNothing(source)
    try eventually("as after the first time: \(first), now \(holdings)", source) { holdings == first }
  }

  // MARK: What is so

  func control() throws -> ControlClient { try ControlClient(hubPath: hubSocket, name: PeerName("test")!) }

  var vm: VMRecord? { try? control().vms().first }
  var buffers: [BufferRecord] { (try? control().buffers()) ?? [] }

  /// Bytes of the VM's pictures that exist, as the kernel knows.
  var kernelBytes: UInt64 { Kernel.bytes(named: "alpha", of: pids) }

  /// The same, as the ledger says.
  var ledgerBytes: UInt64? {
    vm.map { UInt64($0.ledger.totals.hostAllocated - $0.ledger.promised) }
  }

  /// A buffer that a display or a holder can see, once the hub knows it.
  func shownBuffer() throws -> BufferID {
    var id: BufferID?
    try eventually("a buffer is registered") {
      id = buffers.first { $0.state != .retired }?.buffer.id
      return id != nil
    }
    return try #require(id)
  }

  /// Nothing of the VM's pictures is open, mapped or charged anywhere.
  func expectNothing(_ source: SourceLocation = #_sourceLocation) throws {
    try eventually("nothing is left", source) {
      kernelBytes == 0 && buffers.isEmpty && vm.map { $0.ledger.totals.hostAllocated == 0 && $0.bytes == 0 } ?? false
    }
  }

  func eventually(
    _ what: Comment, _ source: SourceLocation = #_sourceLocation, _ condition: () throws -> Bool
  ) throws {
    for _ in 0..<1500 {
      if try condition() { return }
      usleep(10_000)
    }
    try #require(
      Bool(false),
      "\(what): kernel \(kernelBytes), ledger \(ledgerBytes ?? 0), buffers \(buffers.map(\.state)), \(logs)",
      sourceLocation: source)
  }

  private var logs: String { (1...max(1, count)).map { Kernel.text("\(folder)/\($0).log") }.joined(separator: "\n") }
}
