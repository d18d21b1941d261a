import Buffers
import Glibc
import HubProtocol
import LifeSupport
import Platform

/// Processes that tests kill: a VMM that draws for ever, applications that hold a buffer, offer one, or try to write what
/// is not theirs.
@main
struct LifeParts {
  static func main() throws {
    signal(SIGPIPE, SIG_IGN)
    let words = CommandLine.arguments
    switch words.dropFirst().first {
    case "vm":
      while access(words[2], F_OK) < 0 { usleep(10_000) }
      try SmallGuest(socket: words[2]).drawForEver(Size(width: 256, height: 128))
    case "hold": try Holder(hub: words[2], name: words[3], buffer: words[4], releases: words[5] == "releases").run()
    case "offer": try Owner(hub: words[2], name: words[3], buffer: words[4]).run()
    case "offer-by-library":
      var owner = LibraryOwner(hub: words[2], name: words[3], buffer: words[4], isWritable: words[5] == "writable")
      owner.run()
    case "pry": try Pry(hub: words[2], name: words[3], buffer: words[4]).run()
    default: exit(2)
    }
  }
}

/// Writes a line at once.
func say(_ line: String) {
  let bytes = Array("\(line)\n".utf8)
  _ = write(1, bytes, bytes.count)
}

/// Acquires a buffer, maps it, and says "held"; releases it when it has to, or never.
private final class Holder: ApplicationClientDelegate {
  private let loop: EventLoop
  private let client: ApplicationClient
  private let key: BufferKey
  private let releases: Bool
  private var mapping: MemoryMapping?
  private var descriptor: SharedDescriptor?

  init(hub: String, name: String, buffer: String, releases: Bool) throws {
    loop = try EventLoop()
    guard let name = PeerName(name), let id = BufferID(buffer) else { exit(2) }
    client = ApplicationClient(hubPath: hub, name: name, loop: loop)
    key = .id(id)
    self.releases = releases
    client.delegate = self
  }

  func run() throws {
    client.start()
    try loop.run()
  }

  func application(_ client: ApplicationClient, link: HubLinkState) {
    say("\(link)")
    guard case .connected = link, mapping == nil else { return }
    client.acquire(Acquisition(key, wantsUpdates: true)) { [weak self] in self?.take($0) }
  }

  private func take(_ answer: Result<ApplicationClient.Acquired, ApplicationClient.Failure>) {
    guard case .success(let acquired) = answer else { return say("refused") }
    descriptor = acquired.descriptor
    mapping = try? MemoryMapping(
      descriptor: acquired.descriptor.raw, count: Int(acquired.info.memory.byteCount), access: .readOnly)
    say("held \(sum)")
    try? loop.onSignals([SIGUSR1]) { [weak self] _ in say("sees \(self?.sum ?? 0)") }
  }

  private var sum: UInt64 { mapping?.bytes.reduce(UInt64(0)) { $0 &+ UInt64($1) } ?? 0 }

  func application(_ client: ApplicationClient, mustRelease id: BufferID, within limit: Duration) {
    say("must release")
    guard releases else { return }
    mapping = nil
    descriptor = nil
    client.release(id)
    say("released")
  }
}

/// Offers a buffer and says its id.
private final class Owner: ApplicationClientDelegate {
  private let loop: EventLoop
  private let client: ApplicationClient
  private let memory: HostBuffer
  private let name: PeerName

  init(hub: String, name: String, buffer: String) throws {
    loop = try EventLoop()
    guard let own = PeerName(name), let bufferName = PeerName(buffer),
      let layout = PixelLayout(size: Size(width: 64, height: 64), format: .xrgb8888)
    else { exit(2) }
    client = ApplicationClient(hubPath: hub, name: own, loop: loop)
    memory = try HostBuffer(layout: layout, name: name)
    memory.bytes.initializeMemory(as: UInt8.self, repeating: 7)
    self.name = bufferName
    client.delegate = self
  }

  func run() throws {
    client.start()
    try loop.run()
  }

  private var isOffered = false

  func application(_ client: ApplicationClient, link: HubLinkState) {
    guard case .connected = link, !isOffered, let descriptor = try? memory.readOnlyDescriptor() else { return }
    isOffered = true
    let offer = BufferOffer(
      buffer: BufferDescription(id: memory.id, layout: memory.layout),
      memory: MemoryDescription(hostFileOf: memory.layout, reason: .hostAllocated), name: name)
    client.offer(offer, descriptor: SharedDescriptor(descriptor)) { [memory] in
      if case .success = $0 { say("offered \(memory.id)") }
    }
  }

  func application(_ client: ApplicationClient, lostControlOf id: BufferID) {
    try? memory.punch()
    say("punched")
  }

  func application(_ client: ApplicationClient, freed id: BufferID) { say("freed") }
}
