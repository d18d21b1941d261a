import CrossDomain
import GPUDevice
import Testing
import Virtqueue

/// A program's end of a channel: a context with its two rings.
final class ChannelEnd {
  let guest: ChannelGuest
  let context: UInt32
  private let queryRing: GuestAddress
  private let channelRing: GuestAddress
  /// A POLL whose fence waits.
  private var poll: UInt16?

  init(_ guest: ChannelGuest, context: UInt32, to type: ChannelType, ringByteCount: Int = 4096) throws {
    self.guest = guest
    self.context = context
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: CrossDomain.capset), context: context) == .okNoData)
    let base = context * 100
    queryRing = try guest.ring(base, context: context)
    channelRing = try guest.ring(base + 1, context: context, byteCount: ringByteCount)
    #expect(try begin(type) == .okNoData)
  }

  /// INIT.
  func begin(_ type: ChannelType) throws -> ResponseCode? {
    try submit(.initialize(queryRing: context * 100, channelRing: context * 100 + 1, type))
  }

  func submit(_ command: CrossDomainCommand) throws -> ResponseCode? {
    try submit(try #require(command.encoded))
  }

  func submit(_ bytes: [UInt8]) throws -> ResponseCode? {
    try guest.run(.submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), tail: bytes, context: context)
  }

  /// Waits for the channel ring's next entry.
  func next() throws -> CrossDomainCommand {
    try startPoll()
    try guest.wait { try self.isDone() }
    return try entry(channelRing)
  }

  /// The channel ring's next entry, if there is one after some turns of the loop.
  func nextIfAny() throws -> CrossDomainCommand? {
    try startPoll()
    try guest.turn()
    return try isDone() ? try entry(channelRing) : nil
  }

  private func startPoll() throws {
    guard poll == nil else { return }
    let bytes = try #require(CrossDomainCommand.poll.encoded)
    poll = try guest.post(
      .submit3D(byteCount: UInt32(bytes.count), fenceCount: 0), tail: bytes, context: context,
      ring: CrossDomain.channelRing)
  }

  private func isDone() throws -> Bool {
    guard let poll, guest.done.contains(poll) else { return false }
    self.poll = nil
    return true
  }

  private func entry(_ ring: GuestAddress) throws -> CrossDomainCommand {
    try guest.bytes(at: ring, count: 4096).withUnsafeBytes { try CrossDomainCommand.decode($0) }.command
  }

  /// What a picture has to be like.
  func ask(_ query: ImageQuery) throws -> ImageRequirements {
    #expect(try submit(.getImageRequirements(query)) == .okNoData)
    let answer = guest.bytes(at: queryRing, count: ImageRequirements.byteCount)
    return try #require(answer.withUnsafeBytes { ImageRequirements(decoding: $0) })
  }
}
