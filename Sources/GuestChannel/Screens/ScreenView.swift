import Buffers
import CrossDomain
import GPUDevice
import HubProtocol
import Platform

/// One screen of another VM as a guest's program sees it (protocol.md section 14): a connection to the hub that is told what the
/// screen shows, and a picture of the guest's own that follows it.
///
/// The picture changes only while the program does not read it: after its DONE. What came meanwhile is one update then.
final class ScreenView {
  /// What the program is told.
  enum News {
    /// There is a picture.
    case acquired(BufferInfo, HostMemory)
    case updated(BufferUpdate)
    /// The picture has gone: the right to it, or the screen as it was.
    case revoked(BufferID)
    case retired(BufferID)
    /// There is no such screen, or no room for it.
    case declined(Refusal)
  }

  private let screen: ScreenKey
  private let allocate: (Int) throws(GPUError) -> HostMemory
  private let tell: (News) -> Void
  private var connection: HubConnection?
  private var buffers: [BufferID: ReadOnlyBuffer] = [:]
  /// Buffers that were taken back and not released yet.
  private var released: [BufferID] = []
  private var mode = Size(width: 0, height: 0)
  private var cursor = HubProtocol.CursorState.hidden
  private var picture: ScreenPicture?
  private var damage = Rectangle.empty
  private var generation: UInt64 = 0
  private var isBeingRead = false
  /// The picture's id, as the program knows it.
  let id = BufferID.random()

  init(
    _ screen: ScreenKey, allocate: @escaping (Int) throws(GPUError) -> HostMemory, tell: @escaping (News) -> Void
  ) {
    self.screen = screen
    self.allocate = allocate
    self.tell = tell
  }

  /// Asks the hub for the screen in the name of a VM.
  func start(
    _ vm: PeerName, _ loop: EventLoop, _ connect: () throws(SystemError) -> FileDescriptor
  ) throws(SystemError) {
    let connection = try HubConnection(try connect(), loop: loop)
    connection.handler = self
    self.connection = connection
    _ = connection.send(.hello(Hello(role: .viewer, name: vm)))
    _ = connection.send(.application(.view(screen)), serial: 1)
    connection.transmit()
  }

  /// What the picture is in.
  var memory: HostMemory? { picture?.memory }

  /// The program has read a generation.
  func done(_ generation: UInt64) {
    guard generation == self.generation else { return }
    isBeingRead = false
    update()
  }

  /// The program does not look any more, or must not.
  func close() {
    connection?.close()
    connection = nil
    buffers.removeAll()
    picture?.content = nil
  }

  // MARK: What the screen shows

  private func set(_ content: ScreenPicture.Content?) {
    guard let picture else { return begin(content) }
    if let content, content.source.size != picture.layout.size { return end(.retired(id)) }
    picture.content = content
    note(picture.whole)
  }

  /// The picture is as large as what is shown, else as the screen's mode.
  private func begin(_ content: ScreenPicture.Content?) {
    let size = content?.source.size ?? mode
    do throws(GPUError) {
      guard let layout = PixelLayout(size: size, format: .xrgb8888) else { throw .invalidSize(size) }
      guard let byteCount = HostMemory.wholePages(layout.byteCount) else { throw .invalidSize(size) }
      let picture = ScreenPicture(layout, in: try allocate(byteCount))
      picture.content = content
      picture.cursor = cursor
      self.picture = picture
      tell(.acquired(info(layout), picture.memory))
      note(picture.whole)
    } catch {
      decline(Refusal(.overLimit, reason: "\(error)"))
    }
  }

  private func info(_ layout: PixelLayout) -> BufferInfo {
    BufferInfo(
      buffer: BufferDescription(id: id, layout: layout),
      memory: MemoryDescription(hostFileOf: layout, reason: .hostAllocated), owner: Party(.vm, screen.vm), name: nil,
      generation: 0, state: .leased, access: .read, leases: 1,
      properties: [BufferProperty("display", "\(screen.scanout)")].compactMap { $0 })
  }

  private func note(_ damage: Rectangle) {
    self.damage = self.damage.union(damage)
    update()
  }

  private func update() {
    guard let picture, !isBeingRead, !damage.isEmpty else { return }
    let damage = damage.intersection(picture.whole)
    self.damage = .empty
    guard !damage.isEmpty else { return }
    picture.refresh(damage)
    generation += 1
    isBeingRead = true
    tell(.updated(BufferUpdate(id: id, damage: damage, generation: generation)))
  }

  private func note(_ cursor: HubProtocol.CursorState) {
    self.cursor = cursor
    guard let picture else { return }
    let former = picture.cursorArea
    picture.cursor = cursor
    note(former.union(picture.cursorArea))
  }

  // MARK: Ending

  private func decline(_ refusal: Refusal) {
    close()
    tell(.declined(refusal))
  }

  private func end(_ news: News) {
    picture?.empty()
    close()
    tell(news)
  }
}

extension ScreenView: HubConnectionHandler {
  func connection(
    _ connection: HubConnection, received message: Message, serial: UInt64, descriptor: consuming FileDescriptor?
  ) {
    switch message {
    case .layerSet(let layer): mode = layer.area.size
    case .layerRemove: set(nil)
    case .layerContent(_, let content): receive(content, descriptor)
    case .layerDamage(_, let damage): receive(damage)
    case .layerCursor(_, let cursor): note(cursor)
    case .layerCursorMove(_, let x, let y):
      var moved = cursor
      (moved.x, moved.y) = (x, y)
      note(moved)
    case .bufferRetired(let buffer): release(buffer)
    case .error(let refusal): receive(refusal)
    default: break
    }
  }

  private func receive(_ content: LayerPicture, _ descriptor: consuming FileDescriptor?) {
    guard case .shown(let buffer, let memory, _, let source) = content else { return set(nil) }
    if let descriptor {
      buffers[buffer.id] =
        memory.kind == .file
        ? try? ReadOnlyBuffer(
          id: buffer.id, layout: buffer.layout, descriptor: descriptor.raw, offset: memory.offset) : nil
    }
    guard let mapped = buffers[buffer.id], !source.isEmpty, source.fits(in: mapped.layout.size) else {
      return set(nil)
    }
    set(ScreenPicture.Content(buffer: mapped, source: source))
  }

  /// Damage is told in the buffer's pixels.
  private func receive(_ damage: Rectangle) {
    guard let source = picture?.content?.source else { return }
    let part = damage.intersection(source)
    guard !part.isEmpty else { return }
    note(Rectangle(x: part.x - source.x, y: part.y - source.y, width: part.width, height: part.height))
  }

  private func release(_ buffer: BufferID) {
    if picture?.content?.buffer.id == buffer { set(nil) }
    buffers[buffer] = nil
    released.append(buffer)
    if let connection { connectionHasRoom(connection) }
  }

  private func receive(_ refusal: Refusal) {
    if refusal.code == .revoked, picture != nil { return end(.revoked(id)) }
    guard picture == nil else { return end(.retired(id)) }
    decline(refusal.code.isDecline ? refusal : Refusal(.overLimit, reason: refusal.reason))
  }

  func connectionHasRoom(_ connection: HubConnection) {
    while let buffer = released.last, connection.send(.bufferRelease(buffer)) { released.removeLast() }
    connection.transmit()
  }

  func connection(_ connection: HubConnection, ended reason: HubConnection.End) {
    self.connection = nil
    receive(Refusal(.notFound, reason: "the hub has ended the view (\(reason))"))
  }
}
