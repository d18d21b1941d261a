import Buffers
import Testing

@testable import Hub
@testable import HubProtocol

@Suite struct GrantTableTests {
  private let camera = application("camera")
  private let recorder = application("recorder")
  private let other = application("other")
  private let name = PeerName("front")!
  private let id = BufferID.random()

  private func access(_ table: GrantTable, to party: Party, of owner: Party? = nil) -> BufferAccess? {
    table.access(of: party, to: id, named: name, of: owner ?? camera)
  }

  @Test(arguments: [GrantObject.everything, .name(PeerName("front")!)])
  func `a grant opens its object to its grantee, and nothing else to anybody`(object: GrantObject) throws {
    var table = GrantTable()
    _ = try table.add(owner: camera, to: recorder, object: object, access: .read)
    #expect(access(table, to: recorder) == .read)
    #expect(access(table, to: other) == nil && access(table, to: recorder, of: other) == nil)
    let elsewhere = table.access(of: recorder, to: id, named: PeerName("rear"), of: camera)
    #expect(elsewhere == (object == .everything ? .read : nil))
  }

  @Test func `the widest of several grants counts, and what is left when it goes`() throws {
    var table = GrantTable()
    _ = try table.add(owner: camera, to: recorder, object: .everything, access: .read)
    let wide = try table.add(owner: camera, to: recorder, object: .id(id), access: .readWrite)
    #expect(access(table, to: recorder) == .readWrite)
    #expect(table.remove(wide.id) != nil && table.remove(wide.id) == nil)
    #expect(access(table, to: recorder) == .read)
  }

  @Test func `the same grant again has the same number, and the access given last`() throws {
    var table = GrantTable()
    let first = try table.add(owner: camera, to: recorder, object: .everything, access: .readWrite)
    let second = try table.add(owner: camera, to: recorder, object: .everything, access: .read)
    #expect(first.id == second.id && table.count == 1 && access(table, to: recorder) == .read)
  }

  @Test func `a request cannot narrow what the configuration gives`() throws {
    var table = GrantTable()
    _ = try table.add(owner: camera, to: recorder, object: .everything, access: .readWrite, isConfigured: true)
    let again = try table.add(owner: camera, to: recorder, object: .everything, access: .read)
    #expect(again.isConfigured && access(table, to: recorder) == .readWrite)
  }

  @Test func `after random changes every answer is that of the list of grants`() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var state = seed
    func next(_ count: UInt64) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % count)
    }
    let parties = [camera, recorder, other]
    let objects: [GrantObject] = [.everything, .name(name), .id(id), .id(.random())]
    var table = GrantTable()
    for _ in 0..<3000 {
      if next(3) == 0, let grant = table.all.randomElement() {
        _ = table.remove(grant.id)
      } else {
        _ = try table.add(
          owner: parties[next(3)], to: parties[next(3)], object: objects[next(4)],
          access: next(2) == 0 ? .read : .readWrite)
      }
      for owner in parties {
        let fitting = table.all.filter { $0.owner == owner && $0.object != objects[3] }
        #expect(table.covers(id, named: name, of: owner) == !fitting.isEmpty, "seed \(seed)")
        for party in parties {
          let wanted = fitting.filter { $0.grantee == party }.map(\.access).max()
          #expect(access(table, to: party, of: owner) == wanted, "seed \(seed)")
        }
      }
    }
    for grant in table.all { _ = table.remove(grant.id) }
    #expect(parties.allSatisfy { !table.covers(id, named: name, of: $0) })
  }
}
