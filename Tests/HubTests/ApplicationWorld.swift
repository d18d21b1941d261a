import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

/// Notes what an application is told.
final class ApplicationLog: ApplicationClientDelegate {
  var updates: [(update: BufferUpdate, fence: SharedDescriptor?)] = []
  var toRelease: [BufferID] = []
  var done: [(done: BufferDone, fence: SharedDescriptor?)] = []
  var freed: [BufferID] = []
  var lost: [BufferID] = []
  var asked: [UInt64] = []
  var taken: [BufferTaken] = []
  var links: [HubLinkState] = []

  func application(_ client: ApplicationClient, updated update: BufferUpdate, fence: SharedDescriptor?) {
    updates.append((update, fence))
  }
  func application(_ client: ApplicationClient, mustRelease id: BufferID, within limit: Duration) {
    toRelease.append(id)
  }
  func application(_ client: ApplicationClient, done: BufferDone, fence: SharedDescriptor?) {
    self.done.append((done, fence))
  }
  func application(_ client: ApplicationClient, freed id: BufferID) { freed.append(id) }
  func application(_ client: ApplicationClient, taken: BufferTaken) { self.taken.append(taken) }
  func application(_ client: ApplicationClient, lostControlOf id: BufferID) { lost.append(id) }
  func application(_ client: ApplicationClient, isAskedFor id: BufferID, since generation: UInt64) {
    asked.append(generation)
  }
  func application(_ client: ApplicationClient, link: HubLinkState) { links.append(link) }
}

func application(_ name: String) -> Party { Party(.application, PeerName(name)!) }

/// A picture to be offered.
struct Offered {
  let memory: HostBuffer
  var offer: BufferOffer
  let descriptor: SharedDescriptor

  init(
    _ name: String? = nil, isWritable: Bool = false, isShareable: Bool = false, properties: [BufferProperty] = [],
    size: Size? = nil
  ) throws {
    memory = try picture(0x1234, size: size ?? Size(width: 64, height: 32))
    offer = BufferOffer(
      buffer: BufferDescription(id: memory.id, layout: memory.layout),
      memory: MemoryDescription(hostFileOf: memory.layout, reason: .hostAllocated), name: name.flatMap { PeerName($0) },
      isWritable: isWritable, properties: properties)
    offer.isShareable = isShareable
    let file = isWritable || isShareable ? try memory.writableDescriptor() : try memory.readOnlyDescriptor()
    descriptor = SharedDescriptor(file)
  }

  var id: BufferID { memory.id }
  var whole: Rectangle { Rectangle(memory.layout.size) }
}

extension World {
  func application(_ name: String) -> (client: ApplicationClient, log: ApplicationLog) {
    let client = ApplicationClient(hubPath: path, name: PeerName(name)!, loop: loop)
    let log = ApplicationLog()
    client.delegate = log
    keep((client, log))
    client.start()
    return (client, log)
  }

  /// Turns until a request has its answer.
  func answer<Value>(
    source: SourceLocation = #_sourceLocation,
    _ request: (@escaping (Result<Value, ApplicationClient.Failure>) -> Void) -> Void
  ) throws -> Result<Value, ApplicationClient.Failure> {
    var answer: Result<Value, ApplicationClient.Failure>?
    request { answer = $0 }
    try wait("an answer", source: source) { answer != nil }
    return try #require(answer)
  }

  /// An owner, a buffer of it, and somebody to whom it is granted.
  func sharing(
    _ name: String? = "front", isWritable: Bool = false, access: BufferAccess = .read
  ) throws -> Sharing {
    let owner = application("camera")
    let holder = application("recorder")
    let offered = try Offered(name, isWritable: isWritable)
    try answer { owner.client.offer(offered.offer, descriptor: offered.descriptor, $0) }.get()
    let grant = GrantRequest(
      to: HubTests.application("recorder"), object: name.map { .name(PeerName($0)!) } ?? .id(offered.id),
      access: access)
    let number = try answer { owner.client.grant(grant, $0) }.get()
    return Sharing(owner: owner, holder: holder, offered: offered, grant: number)
  }

  struct Sharing {
    let owner: (client: ApplicationClient, log: ApplicationLog)
    let holder: (client: ApplicationClient, log: ApplicationLog)
    let offered: Offered
    let grant: GrantID
  }
}

extension ApplicationClient.Failure {
  var code: ErrorCode? {
    if case .declined(let refusal) = self { refusal.code } else { nil }
  }
}

extension Result where Failure == ApplicationClient.Failure {
  /// Why it was declined.
  var code: ErrorCode? {
    if case .failure(let failure) = self { failure.code } else { nil }
  }
}

extension RawPeer {
  @discardableResult
  func send(_ message: ApplicationMessage, serial: UInt64 = 0, descriptors: [Int32] = []) throws -> Bool {
    try send(.application(message), serial: serial, descriptors: descriptors)
  }

  /// The answer to a request, whole.
  func answer(
    _ message: ApplicationMessage, serial: UInt64 = 9, descriptors: [Int32] = [],
    source: SourceLocation = #_sourceLocation
  ) throws -> Message {
    forget()
    try send(message, serial: serial, descriptors: descriptors)
    return try wait("an answer", source: source) { if case .welcome = $0 { nil } else { $0 } }
  }
}

/// Descriptors that this process has open.
func openDescriptors() -> Int {
  (0..<4096).count { fcntl($0, F_GETFD) >= 0 }
}
