import Buffers
import Glibc
import HubProtocol
import MuntinGuest
import Platform

/// Frames in shared memory, by what `muntin-guest` is made of.
enum Sharing {
  static func export(_ name: String, _ layout: PixelLayout, rate: Double) throws -> Never {
    guard let name = PeerName(name) else { throw Failure("no name: \(name)") }
    var export = Export(name: name, layout: layout, source: .flat)
    export.isWritable = true
    export.rate = rate
    let exporter = try Exporter(export, try connect())
    print("exported \(exporter.bufferID)")
    fflush(nil)
    try exporter.run()
    exit(0)
  }

  static func follow(_ name: String, of vm: String, _ access: String) throws -> Never {
    guard let access = BufferAccess(access) else { throw Failure("no access: \(access)") }
    let importer = try Importer(try buffer(name, of: vm), access: access, try connect())
    var count = FrameCount()
    while true {
      guard try importer.nextUpdate(until: .now + .seconds(60)) != nil else { throw Failure("no frame for a minute") }
      count.add(isWhole: FlatPicture.isWhole(importer.bytes))
      try importer.done()
    }
  }

  /// Asks again and again until there is a grant.
  static func readOnce(_ name: String, of vm: String) throws {
    let buffer = try buffer(name, of: vm)
    let conversation = try connect()
    print("waiting")
    fflush(nil)
    while true {
      do throws(GuestError) {
        let importer = try Importer(buffer, access: .read, conversation)
        _ = try importer.waitForWholePicture()
        print("first \(FlatPicture.isWhole(importer.bytes) ? "whole" : "wrong")")
        fflush(nil)
        return try importer.release()
      } catch {
        guard case .noSuchBuffer = error else { throw error }
      }
      usleep(1000)
    }
  }

  private static func connect() throws -> Conversation { try Conversation(try GraphicsCard.open(nil)) }

  private static func buffer(_ name: String, of vm: String) throws -> BufferName {
    guard let name = PeerName(name), let vm = PeerName(vm) else { throw Failure("no buffer: \(name) of \(vm)") }
    return .name(name, owner: Party(.vm, vm))
  }
}
