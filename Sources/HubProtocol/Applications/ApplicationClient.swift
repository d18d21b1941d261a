import Buffers
import Platform

/// What an application is told by the hub.
public protocol ApplicationClientDelegate: AnyObject {
  /// Pixels of a buffer that is held have changed. They may be read once the fence, if there is one, is readable.
  func application(_ client: ApplicationClient, updated update: BufferUpdate, fence: SharedDescriptor?)
  /// A buffer that is held is to be released: its owner took it back, or it may not be held any more.
  func application(_ client: ApplicationClient, mustRelease id: BufferID, within limit: Duration)
  /// How far a holder of an own buffer has read.
  func application(_ client: ApplicationClient, done: BufferDone, fence: SharedDescriptor?)
  /// Nobody holds an own buffer any more that was withdrawn.
  func application(_ client: ApplicationClient, freed id: BufferID)
  /// Somebody did not release an own buffer in time and may still have it mapped.
  func application(_ client: ApplicationClient, lostControlOf id: BufferID)
  /// Somebody new waits for a whole picture of an own buffer; generation: the newest that the hub knows of. Where nothing
  /// is being drawn, an update without damage hands it out.
  func application(_ client: ApplicationClient, isAskedFor id: BufferID, since generation: UInt64)
  /// Into which images of an own buffer with several must not be drawn.
  func application(_ client: ApplicationClient, taken: BufferTaken)
  /// The hub came or went. With it go all leases; what was offered is offered again.
  func application(_ client: ApplicationClient, link: HubLinkState)
}

extension ApplicationClientDelegate {
  /// Nothing.
  public func application(_ client: ApplicationClient, updated update: BufferUpdate, fence: SharedDescriptor?) {}
  /// Nothing.
  public func application(_ client: ApplicationClient, mustRelease id: BufferID, within limit: Duration) {}
  /// Nothing.
  public func application(_ client: ApplicationClient, done: BufferDone, fence: SharedDescriptor?) {}
  /// Nothing.
  public func application(_ client: ApplicationClient, freed id: BufferID) {}
  /// Nothing.
  public func application(_ client: ApplicationClient, lostControlOf id: BufferID) {}
  /// Nothing.
  public func application(_ client: ApplicationClient, isAskedFor id: BufferID, since generation: UInt64) {}
  /// Nothing.
  public func application(_ client: ApplicationClient, taken: BufferTaken) {}
  /// Nothing.
  public func application(_ client: ApplicationClient, link: HubLinkState) {}
}

/// A program's end of the hub: offers buffers, acquires others' (protocol.md section 8).
///
/// Requests are answered later, each once, on the loop; without a hub at once, with an error.
public final class ApplicationClient {
  /// Why a request has no answer.
  public enum Failure: Error, Equatable, Sendable {
    /// The hub declined.
    case declined(Refusal)
    /// There is no hub, or it went away before the answer.
    case noHub
  }

  /// A buffer that is held.
  public struct Acquired: Sendable {
    /// What it is.
    public let info: BufferInfo
    /// Its memory; without write access a descriptor that cannot write.
    public let descriptor: SharedDescriptor
  }

  /// An acquisition that was asked for.
  public struct AcquisitionRequest: Hashable, Sendable {
    fileprivate let serial: UInt64
  }

  /// Whoever is told; not kept alive.
  public weak var delegate: (any ApplicationClientDelegate)?

  /// How an answer is taken in; true when it was the last.
  private typealias Answer = (Result<ApplicationMessage, Failure>, SharedDescriptor?) -> Bool

  private struct Request {
    let message: ApplicationMessage
    let serial: UInt64
    let descriptor: SharedDescriptor?
  }

  private let link: HubLink
  private var lastSerial: UInt64 = 0
  private var unsent: [Request] = []
  private var pending: [UInt64: Answer] = [:]
  private var offers: [BufferID: (offer: BufferOffer, descriptor: SharedDescriptor)] = [:]
  private var constraints: Constraints?

  /// A client that does nothing before `start`.
  public init(hubPath: String, name: PeerName, loop: EventLoop) {
    link = HubLink(path: hubPath, hello: Hello(role: .application, name: name), loop: loop)
    link.client = self
  }

  /// Connects, and from now on whenever there is a hub.
  public func start() { link.start() }
  /// Leaves the hub: everything offered is taken back, everything held released.
  public func stop() { link.stop() }
  /// Whether there is a connection to a hub.
  public var isLinked: Bool { link.isUp }

  // MARK: Own buffers

  /// Offers a buffer, now and to every hub that comes, until it is withdrawn.
  public func offer(
    _ offer: BufferOffer, descriptor: SharedDescriptor, _ done: @escaping (Result<Void, Failure>) -> Void = { _ in }
  ) {
    offers[offer.buffer.id] = (offer, descriptor)
    request(.offer(offer), descriptor: descriptor) { [weak self] result, _ in
      if case .failure(.declined) = result { self?.offers[offer.buffer.id] = nil }
      done(result.map { _ in })
      return true
    }
  }

  /// Takes a buffer back; `freed` tells when nobody holds it any more.
  public func withdraw(_ id: BufferID, _ done: @escaping (Result<Void, Failure>) -> Void = { _ in }) {
    offers[id] = nil
    request(.withdraw(id)) { result, _ in
      done(result.map { _ in })
      return true
    }
  }

  /// Pixels have changed.
  public func update(_ update: BufferUpdate, fence: SharedDescriptor? = nil) {
    post(.update(update), fence)
  }

  // MARK: Others' buffers

  /// Asks for a lease; nil without a hub.
  @discardableResult
  public func acquire(
    _ acquisition: Acquisition, _ done: @escaping (Result<Acquired, Failure>) -> Void
  ) -> AcquisitionRequest? {
    let serial = request(.acquire(acquisition)) { result, descriptor in
      switch result {
      case .success(.acquired(let info)):
        if let descriptor { done(.success(Acquired(info: info, descriptor: descriptor))) }
      case .success: break
      case .failure(let failure): done(.failure(failure))
      }
      return true
    }
    return serial.map { AcquisitionRequest(serial: $0) }
  }

  /// Does not wait for a buffer any more: the request is answered at once, if it was not.
  public func cancel(_ request: AcquisitionRequest) { post(.cancel(serial: request.serial), nil) }

  /// Ends a lease: unmap the memory first.
  public func release(_ id: BufferID) { post(.release(id), nil) }

  /// A generation has been read, or will have been when the fence is readable.
  public func done(_ id: BufferID, generation: UInt64, fence: SharedDescriptor? = nil) {
    post(.done(id, generation: generation), fence)
  }

  /// Asks what a buffer is.
  public func lookup(_ key: BufferKey, _ done: @escaping (Result<BufferInfo, Failure>) -> Void) {
    request(.lookup(key)) { result, _ in
      switch result {
      case .success(.bufferInfo(let info)): done(.success(info))
      case .success: break
      case .failure(let failure): done(.failure(failure))
      }
      return true
    }
  }

  /// Lists what may be acquired.
  public func list(_ query: BufferQuery, _ done: @escaping (Result<[BufferInfo], Failure>) -> Void) {
    gather(query, [], done)
  }

  private func gather(
    _ query: BufferQuery, _ before: [BufferInfo], _ done: @escaping (Result<[BufferInfo], Failure>) -> Void
  ) {
    var found = before
    request(.query(query)) { [weak self] result, _ in
      switch result {
      case .success(.bufferInfo(let info)):
        found.append(info)
        return false
      case .success(.queryEnd(_, let next)) where next > query.cursor:
        var following = query
        following.cursor = next
        self?.gather(following, found, done)
      case .success: done(.success(found))
      case .failure(let failure): done(.failure(failure))
      }
      return true
    }
  }

  // MARK: Constraints and grants

  /// Says what this program can use, now and to every hub that comes.
  public func state(_ constraints: Constraints, _ done: @escaping (Result<Void, Failure>) -> Void = { _ in }) {
    self.constraints = constraints
    request(.constraints(constraints)) { result, _ in
      done(result.map { _ in })
      return true
    }
  }

  /// Asks what a buffer must be like so that all these parties can use it.
  public func requirements(of parties: [Party], _ done: @escaping (Result<Constraints, Failure>) -> Void) {
    request(.requirements(parties)) { result, _ in
      switch result {
      case .success(.requirementsMerged(let merged)): done(.success(merged))
      case .success: break
      case .failure(let failure): done(.failure(failure))
      }
      return true
    }
  }

  /// Lets another party use own buffers.
  public func grant(_ grant: GrantRequest, _ done: @escaping (Result<GrantID, Failure>) -> Void = { _ in }) {
    request(.grant(grant)) { result, _ in
      switch result {
      case .success(.accepted(let id?)): done(.success(id))
      case .success: break
      case .failure(let failure): done(.failure(failure))
      }
      return true
    }
  }

  /// Takes a grant back.
  public func revoke(_ id: GrantID, _ done: @escaping (Result<Void, Failure>) -> Void = { _ in }) {
    request(.revoke(id)) { result, _ in
      done(result.map { _ in })
      return true
    }
  }

  // MARK: Sending

  private func post(_ message: ApplicationMessage, _ descriptor: SharedDescriptor?) {
    guard link.isUp else { return }
    enqueue(Request(message: message, serial: 0, descriptor: descriptor))
  }

  @discardableResult
  private func request(
    _ message: ApplicationMessage, descriptor: SharedDescriptor? = nil, _ answer: @escaping Answer
  ) -> UInt64? {
    guard link.isUp else {
      _ = answer(.failure(.noHub), nil)
      return nil
    }
    lastSerial += 1
    pending[lastSerial] = answer
    enqueue(Request(message: message, serial: lastSerial, descriptor: descriptor))
    return lastSerial
  }

  private func enqueue(_ request: Request) {
    unsent.append(request)
    link.schedulePump()
  }
}

extension ApplicationClient: HubLinkClient {
  func linkOpened() {
    if let constraints { state(constraints) }
    for (offer, descriptor) in Array(offers.values) { self.offer(offer, descriptor: descriptor) }
  }

  func linkReceived(_ message: Message, serial: UInt64, descriptor: consuming FileDescriptor?) {
    switch message {
    case .application(let message):
      if let descriptor {
        receive(message, serial, SharedDescriptor(descriptor))
      } else {
        receive(message, serial, nil)
      }
    case .bufferFreed(let id): delegate?.application(self, freed: id)
    default: break
    }
  }

  private func receive(_ message: ApplicationMessage, _ serial: UInt64, _ descriptor: SharedDescriptor?) {
    switch message {
    case .updated(let update): delegate?.application(self, updated: update, fence: descriptor)
    case .revoked(let id, let milliseconds), .retired(let id, let milliseconds):
      delegate?.application(self, mustRelease: id, within: .milliseconds(Int64(milliseconds)))
    case .bufferDone(let done): delegate?.application(self, done: done, fence: descriptor)
    case .bufferRevoked(let id): delegate?.application(self, lostControlOf: id)
    case .bufferWanted(let id, let generation): delegate?.application(self, isAskedFor: id, since: generation)
    case .bufferTaken(let taken): delegate?.application(self, taken: taken)
    default: answer(serial, .success(message), descriptor)
    }
  }

  private func answer(_ serial: UInt64, _ result: Result<ApplicationMessage, Failure>, _ descriptor: SharedDescriptor?)
  {
    guard let answer = pending.removeValue(forKey: serial) else { return }
    if !answer(result, descriptor) { pending[serial] = answer }
  }

  func linkDeclined(_ refusal: Refusal, serial: UInt64) { answer(serial, .failure(.declined(refusal)), nil) }

  func linkPump() {
    var sent = 0
    for request in unsent {
      let message = Message.application(request.message)
      guard link.send(message, serial: request.serial, descriptor: request.descriptor) else { break }
      sent += 1
    }
    unsent.removeFirst(sent)
  }

  func linkLost() {
    unsent.removeAll()
    let failed = pending
    pending.removeAll()
    for answer in failed.values { _ = answer(.failure(.noHub), nil) }
  }

  func linkChanged(_ state: HubLinkState) {
    delegate?.application(self, link: state)
  }
}
