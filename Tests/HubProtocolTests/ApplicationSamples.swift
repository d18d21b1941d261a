import Buffers

@testable import HubProtocol

extension MessageSamples {
  static let application = Party(.application, name)
  static let property = BufferProperty("camera", "front")!
  static let ledger = LedgerReport(
    totals: LedgerAmounts(
      guestMemory: 1, hostAllocated: 2, imported: 3, bookkeeping: 4, rendering: 11, buffers: 5, contexts: 6,
      descriptors: 7,
      commands: 8),
    promised: 9, limits: .usualLimits, pixelsCopied: 10)
  static let constraints: Constraints = {
    var constraints = Constraints()
    constraints.strideAlignment = 64
    constraints.offsetAlignment = 4096
    constraints.widthMultiple = 16
    constraints.heightMultiple = 8
    constraints.maximumWidth = 4096
    constraints.maximumHeight = 2160
    constraints.maximumStride = 16_384
    constraints.isContiguous = true
    constraints.cacheability = [.cached, .uncached]
    constraints.memoryKinds = [.file, .dmaBuf]
    constraints.formats = [.xrgb8888, .argb8888]
    constraints.modifiers = [0, 1 << 56]
    return constraints
  }()
  static let info = BufferInfo(
    buffer: buffer, memory: ranges, owner: application, name: name, generation: 77, state: .shared, access: .readWrite,
    leases: 3, properties: [property], images: 2)
  static let query: BufferQuery = {
    var query = BufferQuery()
    query.cursor = 4711
    query.access = .readWrite
    query.format = .xrgb8888
    query.ownerKind = .application
    query.ownerName = name
    query.name = name
    query.property = property
    query.isOwn = true
    return query
  }()

  /// Those of section 8.
  static let applications: [(message: Message, documented: Int, descriptor: Bool)] = [
    (.vmLedger(ledger), 176, false),
    (.application(.bufferRevoked(id)), 32, false),
    (.application(.offer(BufferOffer(buffer: buffer, memory: ranges))), 176, true),
    (
      .application(
        .offer(
          BufferOffer(buffer: buffer, memory: ranges, name: name, isWritable: true, properties: [property]))), 304, true
    ),
    (.application(.withdraw(id)), 32, false),
    (.application(.update(BufferUpdate(id: id, damage: rectangle, generation: 5))), 56, false),
    (.application(.update(BufferUpdate(id: id, damage: rectangle, generation: 5))), 56, true),
    (.application(.acquire(Acquisition(.id(id), access: .readWrite, wantsUpdates: true))), 176, false),
    (.application(.acquire(Acquisition(.name(name, owner: application), waits: true))), 176, false),
    (.application(.release(id)), 32, false),
    (.application(.done(id, generation: 5)), 40, false),
    (.application(.done(id, generation: 5)), 40, true),
    (.application(.lookup(.name(name, owner: application))), 168, false),
    (.application(.query(query)), 336, false),
    (.application(.query(BufferQuery())), 336, false),
    (.application(.constraints(constraints)), 320, false),
    (.application(.constraints(Constraints())), 320, false),
    (.application(.requirements([application, Party(.display, name)])), 168, false),
    (
      .application(.grant(GrantRequest(owner: application, to: Party(.vm, name), object: .id(id), access: .readWrite))),
      248, false
    ),
    (.application(.grant(GrantRequest(to: application, object: .name(name)))), 248, false),
    (.application(.grant(GrantRequest(to: application, object: .everything))), 248, false),
    (.application(.grant(GrantRequest(to: application, object: .scanout(ScanoutIndex(15))))), 248, false),
    (.application(.view(ScreenKey(vm: name, scanout: scanout))), 88, false),
    (
      .application(
        .grantRecord(
          GrantRecord(
            id: GrantID(rawValue: 4), owner: Party(.vm, name), grantee: application, object: .scanout(scanout),
            access: .read))), 264, false
    ),
    (.application(.screens(cursor: 9)), 24, false),
    (
      .application(
        .screenInfo(
          ScreenInfo(ScreenKey(vm: name, scanout: scanout), absence: .offline, size: Size(width: 640, height: 480)))),
      96, false
    ),
    (.application(.revoke(GrantID(rawValue: 9))), 24, false),
    (.application(.grants(cursor: 9)), 24, false),
    (.application(.cancel(serial: 9)), 24, false),
    (.application(.bufferWanted(id, generation: 5)), 40, false),
    (.application(.bufferTaken(BufferTaken(id: id, generation: 5, held: 6))), 48, false),
    (.application(.offer(BufferOffer(buffer: buffer, memory: ranges, images: 3))), 176, true),
    (.application(.acquire(Acquisition(.id(id), wantsUpdates: true, keeps: true))), 176, false),
    (.application(.accepted(GrantID(rawValue: 9))), 24, false),
    (.application(.accepted(nil)), 24, false),
    (.application(.acquired(info)), 392, true),
    (.application(.updated(BufferUpdate(id: id, damage: rectangle, generation: 5))), 56, true),
    (.application(.updated(BufferUpdate(id: id, damage: rectangle, generation: 5))), 56, false),
    (.application(.revoked(id, milliseconds: 10_000)), 40, false),
    (.application(.retired(id, milliseconds: 10_000)), 40, false),
    (.application(.requirementsMerged(constraints)), 320, false),
    (.application(.bufferInfo(info)), 392, false),
    (.application(.queryEnd(count: 3, next: 1 << 40)), 32, false),
    (.application(.bufferDone(BufferDone(id: id, generation: 5, holder: 6, remaining: 7))), 48, true),
    (.application(.bufferDone(BufferDone(id: id, generation: 5, holder: 6, remaining: 7))), 48, false),
    (
      .application(
        .grantRecord(
          GrantRecord(
            id: GrantID(rawValue: 3), owner: application, grantee: Party(.display, name), object: .name(name),
            access: .read, isConfigured: true))), 264, false
    ),
  ]
}
