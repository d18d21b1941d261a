import Buffers
import Glibc
import HubProtocol
import LifeSupport
import Testing

/// Every way in which a buffer can end, with real processes and kill -9: afterwards no descriptor, no mapping and no
/// charge is left.
@Suite(.serialized) struct EndTests {
  private let size = Machine.size

  /// A guest whose picture 1 is shown.
  private func drawn(_ machine: Machine) throws -> SmallGuest {
    let guest = try machine.guest()
    try guest.create(1, size)
    try guest.transfer(1, size)
    try guest.show(1, size)
    try guest.flush(1, size)
    return guest
  }

  @Test func `a guest gives a picture up while a display and a program hold it`() throws {
    let machine = try Machine()
    let guest = try drawn(machine)
    let holder = try machine.holder(try machine.shownBuffer(), releases: true)
    try machine.eventually("two hold it") { machine.buffers.first?.leases == 2 }
    #expect(machine.kernelBytes == Machine.byteCount)
    try guest.unref(1)
    try machine.expectNothing()
    #expect(holder.text.contains("released"))
  }

  @Test func `the charge of a picture stays while somebody holds it, and no longer`() throws {
    let machine = try Machine(hasDisplay: false)
    let guest = try drawn(machine)
    _ = try machine.holder(try machine.shownBuffer(), releases: false)
    try guest.unref(1)
    usleep(300_000)
    #expect(machine.buffers.map(\.state) == [.retired])
    #expect(machine.ledgerBytes == Machine.byteCount && machine.kernelBytes == Machine.byteCount)
  }

  @Test func `a guest reboots`() throws {
    let machine = try Machine()
    let guest = try drawn(machine)
    _ = try machine.holder(try machine.shownBuffer(), releases: true)
    try guest.reset()
    try machine.expectNothing()
    try guest.create(1, size)
    try guest.transfer(1, size)
    try machine.eventually("the guest draws again") { machine.ledgerBytes == Machine.byteCount }
  }

  @Test func `a VMM is killed in the middle of a frame`() throws {
    let machine = try Machine()
    let monitor = try machine.part("vm", machine.gpuSocket)
    let id = try machine.shownBuffer()
    _ = try machine.holder(id, releases: true)
    try machine.eventually("it draws") { (machine.vm?.flushes ?? 0) > 20 }
    monitor.kill9()
    try machine.expectNothing()
  }

  @Test func `a graphics card is killed`() throws {
    let machine = try Machine()
    let guest = try drawn(machine)
    _ = try machine.holder(try machine.shownBuffer(), releases: true)
    machine.gpu.kill9()
    try machine.expectNothing()
    withExtendedLifetime(guest) {}
  }

  @Test func `a display is killed`() throws {
    let machine = try Machine()
    let guest = try drawn(machine)
    try machine.eventually("shown") { machine.buffers.first?.leases == 1 }
    machine.compositor?.kill9()
    try machine.eventually("nobody holds it") { machine.buffers.first?.leases == 0 }
    try guest.flush(1, size)
    try guest.unref(1)
    try machine.expectNothing()
  }

  @Test func `a hub is killed and started again`() throws {
    let machine = try Machine()
    let guest = try drawn(machine)
    let id = try machine.shownBuffer()
    let holder = try machine.holder(id, releases: true)
    machine.hub.kill9()
    try guest.flush(1, size)
    try machine.startHub()
    try machine.eventually("everybody is back") { machine.buffers.map(\.buffer.id) == [id] }
    try machine.eventually("the ledger is back") { machine.ledgerBytes == Machine.byteCount }
    try guest.unref(1)
    try machine.eventually("the new hub knows of no holder") { machine.buffers.isEmpty && machine.ledgerBytes == 0 }
    // The holder of the old hub's days was told nothing: what it still has mapped is empty.
    try machine.eventually("it costs nothing") { Kernel.residentBytes(of: holder.pid, named: "alpha") == 0 }
  }

  @Test func `a consumer never releases`() throws {
    let machine = try Machine(leaseLimit: 0.3)
    let guest = try drawn(machine)
    let holder = try machine.holder(try machine.shownBuffer(), releases: false)
    #expect(Kernel.residentBytes(of: holder.pid, named: "alpha") == Machine.byteCount)
    try guest.unref(1)
    try machine.eventually("the hub is rid of it") {
      machine.buffers.isEmpty && machine.vm?.ledger.totals.hostAllocated == 0
    }
    try machine.eventually("it was cut off") { holder.text.contains("not released in time") }
    // Its mapping cannot be taken away; the pages behind it can.
    try machine.eventually("it costs nothing") { Kernel.residentBytes(of: holder.pid, named: "alpha") == 0 }
    holder.kill9()
    try machine.expectNothing()
    try guest.create(1, size)
    try guest.transfer(1, size)
  }

  @Test func `a grant is revoked while the buffer is mapped`() throws {
    let machine = try Machine(leaseLimit: 0.3)
    let owner = try machine.part("offer", machine.hubSocket, "camera", "front")
    try machine.eventually("offered") { owner.text.contains("offered ") }
    let id = try #require(machine.buffers.first { $0.owner.kind == .application }?.buffer.id)
    let grant = GrantRequest(
      owner: Party(.application, PeerName("camera")!), to: Party(.application, PeerName("holder")!), object: .id(id))
    let number = try machine.control().grant(grant)
    let holder = try machine.holder(id, releases: false)
    #expect(holder.text.contains("held \(64 * 64 * 4 * 7)"))
    try machine.control().revoke(number)
    try machine.eventually("told, then cut off") {
      holder.text.contains("must release") && holder.text.contains("not released in time")
    }
    try machine.eventually("the owner took the pages back") { owner.text.contains("punched") }
    #expect(Kernel.residentBytes(of: holder.pid, named: "camera") == 0)
    #expect(machine.buffers.first?.leases == 0)
    holder.kill9()
    owner.kill9()
    try machine.eventually("nothing is left") {
      machine.buffers.isEmpty && Kernel.bytes(named: "camera", of: machine.pids) == 0
    }
  }
}
