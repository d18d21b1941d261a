import CDRM
import CrossDomain
import Glibc
import HubProtocol
import Platform

/// A channel to the hub that says anything: also what `muntin-guest` never would.
final class RawChannel {
  private let card: FileDescriptor
  private let ring: MemoryMapping
  private var isWaiting = false

  init(card path: String = "/dev/dri/renderD128") throws {
    let raw = open(path, O_RDWR | O_CLOEXEC)
    guard raw >= 0 else { throw Failure("no card: \(SystemError.last("open"))") }
    card = FileDescriptor(adopting: raw)
    try Self.check(cdrm_context(raw, CrossDomain.capset, 2, 1 << UInt64(CrossDomain.channelRing)), "a context")
    let query = try Self.blob(raw, memory: CDRM_BLOB_GUEST, flags: CDRM_BLOB_MAPPABLE, byteCount: 4096, number: 0)
    let channel = try Self.blob(raw, memory: CDRM_BLOB_GUEST, flags: CDRM_BLOB_MAPPABLE, byteCount: 4096, number: 0)
    ring = try Self.map(raw, channel)
    try submit(.initialize(queryRing: query.resource, channelRing: channel.resource, .hub))
  }

  // MARK: Talking

  /// Sends bytes as they are.
  func send(_ data: [UInt8], _ identifiers: [Transmission.Identifier] = []) throws {
    try submit(.send(Transmission(data, identifiers: identifiers)))
  }

  /// What the hub says next; without data: the channel is over. Nil: nothing within five seconds.
  func receive() throws -> Transmission? {
    if !isWaiting {
      UnsafeMutableRawBufferPointer(rebasing: ring.mutableBytes[..<64]).initializeMemory(as: UInt8.self, repeating: 0)
      try submit(.poll, ring: UInt32(CrossDomain.channelRing))
      isWaiting = true
    }
    var event = pollfd(fd: card.raw, events: Int16(POLLIN), revents: 0)
    guard poll(&event, 1, 5_000) > 0 else { return nil }
    try Self.check(min(cdrm_read_events(card.raw), 0), "read events")
    isWaiting = false
    let copy = [UInt8](ring.bytes)
    guard copy[0] != 0 else { return Transmission([]) }
    guard case .receive(let said) = try copy.withUnsafeBytes({ try CrossDomainCommand.decode($0).command }) else {
      throw Failure("no RECEIVE on the ring")
    }
    return said
  }

  private func submit(_ command: CrossDomainCommand, ring: UInt32 = UInt32(CDRM_NO_RING)) throws {
    guard let bytes = command.encoded else { throw Failure("a command that is too long") }
    try Self.check(cdrm_submit(card.raw, bytes, UInt32(bytes.count), ring), "submit")
  }

  // MARK: Memory

  /// Memory of the host's that a number stands for, with the resource's number; nil: the host does not give it.
  func hostMemory(number: UInt64, byteCount: UInt64) -> (mapping: MemoryMapping, resource: UInt32)? {
    let flags = Int(CDRM_BLOB_MAPPABLE) | Int(CDRM_BLOB_SHAREABLE)
    guard
      let blob = try? Self.blob(
        card.raw, memory: CDRM_BLOB_HOST3D, flags: flags, byteCount: byteCount, number: number)
    else { return nil }
    guard let mapping = try? Self.map(card.raw, blob) else {
      _ = cdrm_close_handle(card.raw, blob.handle)
      return nil
    }
    return (mapping, blob.resource)
  }

  private static func blob(
    _ card: Int32, memory: some BinaryInteger, flags: some BinaryInteger, byteCount: UInt64, number: UInt64
  ) throws -> cdrm_blob {
    var blob = cdrm_blob(
      memory: UInt32(memory), flags: UInt32(flags), byte_count: byteCount, id: number, handle: 0, resource: 0)
    try check(cdrm_create_blob(card, &blob), "a blob")
    return blob
  }

  private static func map(_ card: Int32, _ blob: cdrm_blob) throws -> MemoryMapping {
    var offset: UInt64 = 0
    try check(cdrm_map_offset(card, blob.handle, &offset), "a blob's offset")
    return try MemoryMapping(
      descriptor: card, offset: offset, count: Int(clamping: blob.byte_count), access: .readWrite)
  }

  private static func check(_ result: Int32, _ what: String) throws {
    guard result != 0 else { return }
    throw Failure("\(what): \(SystemError(call: "ioctl", code: -result))")
  }
}
