import Buffers
import Glibc
import Platform
import Testing

@testable import Hub
@testable import HubProtocol

/// What needs a memory file that can be opened again for reading, and whose pages can be taken out.
@Suite struct WritableBufferTests {
  private let front = BufferKey.name(PeerName("front")!, owner: application("camera"))

  @Test func `a buffer granted for writing is written by its holder, one granted for reading is not`() throws {
    let world = try World()
    let sharing = try world.sharing(isWritable: true, access: .readWrite)
    let request = Acquisition(front, access: .readWrite)
    let acquired = try world.answer { sharing.holder.client.acquire(request, $0) }.get()
    let mapped = try MemoryMapping(descriptor: acquired.descriptor.raw, count: 4096, access: .readWrite)
    mapped.mutableBytes.storeBytes(of: 0x9abc, as: UInt32.self)
    #expect(sharing.offered.memory.bytes.loadUnaligned(as: UInt32.self) == 0x9abc)
    let reader = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    #expect(throws: SystemError.self) {
      _ = try MemoryMapping(descriptor: reader.descriptor.raw, count: 4096, access: .readWrite)
    }
    let grant = GrantRequest(to: application("recorder"), object: .name(PeerName("front")!), access: .read)
    #expect(try world.answer { sharing.owner.client.grant(grant, $0) }.get() == sharing.grant)
    #expect(try world.answer { sharing.holder.client.acquire(request, $0) }.code == .notFound)
  }

  @Test func `who asks again for less access than he has got is still told when the right to write ends`() throws {
    let world = try World()
    let sharing = try world.sharing(isWritable: true, access: .readWrite)
    _ = try world.answer {
      sharing.owner.client.grant(GrantRequest(to: application("recorder"), object: .everything), $0)
    }.get()
    _ = try world.answer { sharing.holder.client.acquire(Acquisition(front, access: .readWrite), $0) }.get()
    let again = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    #expect(again.info.access == .read)
    try world.answer { sharing.owner.client.revoke(sharing.grant, $0) }.get()
    try world.wait("told") { sharing.holder.log.toRelease == [sharing.offered.id] }
  }

  @Test func `a grant revoked while the buffer is mapped ends the lease, and gives nothing new`() throws {
    let world = try World { $0.leaseLimit = .milliseconds(60) }
    let sharing = try world.sharing()
    let acquired = try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.get()
    let mapped = try MemoryMapping(descriptor: acquired.descriptor.raw, count: 4096, access: .readOnly)
    try world.answer { sharing.owner.client.revoke(sharing.grant, $0) }.get()
    #expect(try world.answer { sharing.holder.client.acquire(Acquisition(front), $0) }.code == .notFound)
    try world.wait("the owner lost control") { sharing.owner.log.lost == [sharing.offered.id] }
    try sharing.offered.memory.punch()
    #expect(mapped.bytes.loadUnaligned(as: UInt32.self) == 0)
    #expect(world.hub?.registry.find(sharing.offered.id)?.life == .registered)
  }
}
