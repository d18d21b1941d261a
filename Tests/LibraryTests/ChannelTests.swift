import CrossDomain
import Testing

@_silgen_name("muntin__put_init") private func putInit(
  _ at: UnsafeMutablePointer<UInt8>, _ query: UInt32, _ ring: UInt32)
@_silgen_name("muntin__put_poll") private func putPoll(_ at: UnsafeMutablePointer<UInt8>)
@_silgen_name("muntin__put_send")
private func putSend(
  _ at: UnsafeMutablePointer<UInt8>, _ message: UnsafePointer<UInt8>, _ size: Int, _ resource: UInt32
) -> Int
@_silgen_name("muntin__get_received")
private func getReceived(_ entry: UnsafePointer<UInt8>, _ received: UnsafeMutablePointer<Received>) -> Bool

/// `struct received` of the library's cross_domain.h.
private struct Received {
  var message: UnsafePointer<UInt8>?
  var size = 0
  var hasBlob = false
  var blobNumber: UInt32 = 0
  var blobSize: UInt32 = 0
}

extension Library {
  /// What the library says and understands as a guest, against the host's own implementation of it.
  @Suite struct ChannelTests {
    private func decode(_ bytes: [UInt8]) throws -> CrossDomainCommand {
      try bytes.withUnsafeBytes { bytes in
        let (command, count) = try CrossDomainCommand.decode(bytes)
        #expect(count == bytes.count)
        return command
      }
    }

    /// What the library makes of a ring that begins like this: nil, that it makes no sense.
    private func understood(_ bytes: [UInt8]) -> (message: [UInt8], blob: [UInt32]?)? {
      let ring = bytes + [UInt8](repeating: 0, count: 4096 - bytes.count)
      return ring.withUnsafeBufferPointer { ring in
        var received = Received()
        guard let start = ring.baseAddress, getReceived(start, &received), let message = received.message else {
          return nil
        }
        #expect(message - start + received.size <= ring.count)
        return (
          Array(UnsafeBufferPointer(start: message, count: received.size)),
          received.hasBlob ? [received.blobNumber, received.blobSize] : nil
        )
      }
    }

    private func receive(_ data: [UInt8], _ identifiers: [Transmission.Identifier] = []) throws -> [UInt8] {
      try #require(CrossDomainCommand.receive(Transmission(data, identifiers: identifiers)).encoded)
    }

    @Test func `a channel begins with the rings and asks to be told`() throws {
      var bytes = [UInt8](repeating: 0xaa, count: 20)
      putInit(&bytes, 7, 8)
      #expect(try decode(bytes) == .initialize(queryRing: 7, channelRing: 8, .hub))
      bytes = [UInt8](repeating: 0xaa, count: 16)
      putPoll(&bytes)
      #expect(try decode(bytes) == .poll)
    }

    @Test(arguments: [0, 16, 2224, 3744])
    func `a message is sent with its resource`(count: Int) throws {
      let message = (0..<count).map { UInt8($0 & 255) }
      for resource: UInt32 in [0, 5] {
        var bytes = [UInt8](repeating: 0xaa, count: 4096)
        let length = putSend(&bytes, message, count, resource)
        let identifiers = resource == 0 ? [] : [Transmission.Identifier(number: 5, kind: .blob)]
        #expect(try decode(Array(bytes[..<length])) == .send(Transmission(message, identifiers: identifiers)))
      }
    }

    @Test func `a message that no ring has room for is not sent`() {
      var bytes = [UInt8](repeating: 0, count: 4096)
      #expect(putSend(&bytes, [UInt8](repeating: 0, count: 3745), 3745, 0) == 0)
    }

    @Test func `what the host says is understood`() throws {
      let message = (0..<2328).map { UInt8($0 & 255) }
      let plain = try #require(understood(try receive(message)))
      #expect(plain.message == message && plain.blob == nil)
      let blob = Transmission.Identifier(number: 9, kind: .blob, byteCount: 8192)
      let acquired = try #require(understood(try receive(message, [blob])))
      #expect(acquired.message == message && acquired.blob == [9, 8192])
      #expect(understood([])?.message == [])
    }

    @Test func `a ring that makes no sense is refused`() throws {
      let blob = Transmission.Identifier(number: 9, kind: .blob, byteCount: 8192)
      let good = try receive([1, 2, 3, 4, 5, 6, 7, 8], [blob])
      #expect(understood(good) != nil)
      for (offset, byte): (Int, UInt8) in [
        (0, 4), (0, 255), (8, 2), (11, 128), (13, 15), (15, 128), (128, 2), (241, 0),
      ] {
        var bad = good
        bad[offset] = byte
        #expect(understood(bad) == nil, "byte \(offset)")
      }
    }
  }
}
