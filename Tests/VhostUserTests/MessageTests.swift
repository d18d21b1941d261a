import Testing
import VhostUser

@Suite("messages")
struct MessageTests {
  static let samples: [Request] = {
    let state = VringState(index: 1, num: 256)
    let region = RegionDescription(guestAddress: 1 << 32, size: 4096, userAddress: 0x7f00_0000, mmapOffset: 8192)
    let which = VringDescriptor(index: 1, hasDescriptor: true)
    let access = ConfigurationAccess(offset: 8, size: 4, flags: 1, bytes: [1, 2, 3, 4])
    return [
      .getFeatures, .setFeatures(0x1_7000_0001), .setOwner, .resetOwner, .setMemTable([region, region]),
      .setMemTable([]),
      .setVringNum(state),
      .setVringAddr(VringAddress(index: 1, flags: 1, descriptor: 16, used: 32, available: 64, log: 128)),
      .setVringBase(state), .getVringBase(state), .setVringKick(which), .setVringCall(which), .setVringErr(which),
      .setVringKick(VringDescriptor(index: 1, hasDescriptor: false)), .getProtocolFeatures, .setProtocolFeatures(9),
      .getQueueNum, .setVringEnable(state), .setBackendReqFd, .getConfig(access), .setConfig(access), .gpuSetSocket,
      .resetDevice, .getMaxMemSlots, .addMemReg(region), .remMemReg(region), .setStatus(15), .getStatus,
    ]
  }()

  private func encoded(_ request: Request) -> [UInt8] {
    var bytes: [UInt8] = []
    request.encode(into: &bytes)
    return bytes
  }

  private func decode(_ code: RequestCode, _ bytes: [UInt8]) throws(VhostUserError) -> Request {
    try bytes.withUnsafeBytes { buffer -> Result<Request, VhostUserError> in
      do throws(VhostUserError) {
        return .success(try Request(code: code, payload: buffer))
      } catch {
        return .failure(error)
      }
    }.get()
  }

  @Test("a request decodes to what was encoded", arguments: samples)
  func roundTrip(_ request: Request) throws {
    #expect(try decode(request.code, encoded(request)) == request)
  }

  @Test("a payload cut anywhere is refused", arguments: samples)
  func cut(_ request: Request) {
    let bytes = encoded(request)
    // A GET_CONFIG needs only its three numbers.
    let needed = request.code == .getConfig ? 12 : bytes.count
    for length in 0..<needed {
      #expect(throws: VhostUserError.wrongSize(request: request.code.rawValue, size: UInt32(length))) {
        try decode(request.code, Array(bytes[..<length]))
      }
    }
  }

  @Test("a payload that is too long is refused where its length is fixed")
  func long() {
    for request in [Request.setFeatures(1), .setVringNum(VringState(index: 0, num: 1)), .setStatus(0)] {
      #expect(throws: VhostUserError.wrongSize(request: request.code.rawValue, size: 9)) {
        try decode(request.code, encoded(request) + [0])
      }
    }
  }

  @Test("a memory table that claims more regions than it holds is refused")
  func tableCount() {
    for count: UInt32 in [2, 33, 0xffff_ffff] {
      var bytes = encoded(
        .setMemTable([RegionDescription(guestAddress: 0, size: 1, userAddress: 0, mmapOffset: 0)]))
      withUnsafeBytes(of: count) { bytes.replaceSubrange(0..<4, with: $0) }
      #expect(throws: VhostUserError.self) { try decode(.setMemTable, bytes) }
    }
  }

  @Test("a configuration write that claims more bytes than it holds is refused")
  func configurationCount() {
    let access = ConfigurationAccess(offset: 0, size: 0xffff_ffff, bytes: [1, 2])
    #expect(throws: VhostUserError.self) { try decode(.setConfig, encoded(.setConfig(access))) }
  }

  @Test("bit 8 says that no descriptor comes along")
  func noDescriptor() throws {
    let request = try decode(.setVringKick, [1, 1, 0, 0, 0, 0, 0, 0])
    #expect(request == .setVringKick(VringDescriptor(index: 1, hasDescriptor: false)))
    #expect(request.descriptorCount == 0)
  }

  @Test("requests whose feature is never offered are known as such")
  func unsupported() throws {
    #expect(try decode(.getInflightFd, []) == .unsupported(.getInflightFd))
    #expect(RequestCode(rawValue: 45) == nil)
  }

  @Test("a header has the specification's three words")
  func header() throws {
    var bytes: [UInt8] = []
    MessageHeader(request: 5, flags: 9, payloadSize: 0x1234).encode(into: &bytes)
    #expect(bytes == [5, 0, 0, 0, 9, 0, 0, 0, 0x34, 0x12, 0, 0])
    let header = try #require(bytes.withUnsafeBytes { MessageHeader($0) })
    #expect(header.needsReply && header.hasKnownVersion && !header.isReply)
    #expect(bytes[..<11].withUnsafeBytes { MessageHeader($0) } == nil)
  }
}
