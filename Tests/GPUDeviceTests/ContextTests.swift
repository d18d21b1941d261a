import Buffers
import GPUDevice
import Testing

@Suite("Contexts") struct ContextTests {
  static func guest() throws -> Guest {
    try Guest {
      $0.allocation = .host
      $0.limits.contexts = 3
    }
  }

  @Test("they are made, refer to resources, and go")
  func life() throws {
    let guest = try Self.guest()
    let create = Command.contextCreate(nameLength: 64, kind: 0)
    #expect(try guest.create(1) == .okNoData && guest.createHostBlob(2) == .okNoData)
    #expect(try guest.run(create, context: 1).code == .okNoData)
    for id: UInt32 in 1...2 {
      let resource = ResourceID(rawValue: id)
      #expect(try guest.run(.contextAttachResource(resource), context: 1).code == .okNoData)
      #expect(try guest.run(.contextDetachResource(resource), context: 1).code == .okNoData)
    }
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 9)), context: 1).code == .invalidResourceID)
    #expect(try guest.run(.contextAttachResource(ResourceID(rawValue: 1)), context: 2).code == .invalidContextID)
    #expect(try guest.run(.contextDestroy, context: 1).code == .okNoData && guest.device.contextCount == 0)
    #expect(try guest.run(.contextDestroy, context: 1).code == .invalidContextID)
  }

  @Test("0, used ids, long names and too many are refused; a reset removes all")
  func limits() throws {
    let guest = try Self.guest()
    let create = Command.contextCreate(nameLength: 1, kind: 0)
    #expect(try guest.run(create, context: 0).code == .invalidContextID)
    for id: UInt32 in [1, .max, 7] { #expect(try guest.run(create, context: id).code == .okNoData) }
    #expect(try guest.run(create, context: 7).code == .invalidContextID)
    #expect(try guest.run(create, context: 8).code == .outOfMemory)
    guest.device.reset()
    #expect(guest.device.contextCount == 0)
    #expect(try guest.run(.contextCreate(nameLength: .max, kind: 0), context: 1).code == .invalidParameter)
  }

  @Test("nothing is done in one without a capability set: commands for that are refused, whatever their lengths")
  func nothingDrawn() throws {
    let guest = try Self.guest()
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1).code == .okNoData)
    for (bytes, fences): (UInt32, UInt32) in [(0, 0), (.max, 0), (0, .max), (8, 1)] {
      let reply = try guest.run(.submit3D(byteCount: bytes, fenceCount: fences), flags: .fence, fence: 9, context: 1)
      #expect(reply.code == .unspecified && reply.header?.fence.rawValue == 9, "a refused fence completes")
    }
    #expect(try guest.code(.getCapsetInfo(index: 0)) == .invalidParameter)
    #expect(ScanoutTests.configuration(guest.device)[3] == 0, "no capability sets")
  }

  @Test("without VIRGL there are none")
  func notOffered() throws {
    let guest = try Guest()
    #expect(try guest.run(.contextCreate(nameLength: 0, kind: 0), context: 1).code == .unspecified)
  }
}
