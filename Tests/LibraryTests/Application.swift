import CMuntin
import Glibc
import Platform
import Testing

/// A connection of the library, and what it said, kept longer than the library keeps it.
final class Application {
  let raw: OpaquePointer

  enum Kind: UInt32 {
    case connected = 1, disconnected, refused, offered, acquired, granted, accepted, info, grantRecord, listEnd,
      requirements, updated, revoked, retired, done, freed, stillMapped, wanted, taken
  }

  struct Event {
    let kind: Kind
    let text: String
    let fields: muntin_event
    let info: muntin_info?
    let constraints: muntin_constraints?
    let grant: muntin_grant_record?

    var damage: [UInt32] { [fields.damage.x, fields.damage.y, fields.damage.width, fields.damage.height] }
  }

  init(_ name: String = "tester", socket: Int32) throws {
    var connection: OpaquePointer?
    let result = name.withCString {
      var options = muntin_options(name: $0, path: nil, reconnect: false)
      return muntin_open_socket(&options, socket, &connection)
    }
    #expect(result == 0)
    raw = try #require(connection)
  }

  init(_ name: String = "tester", path: String, reconnects: Bool = true) throws {
    var connection: OpaquePointer?
    let result = name.withCString { name in
      path.withCString { path in
        var options = muntin_options(name: name, path: path, reconnect: reconnects)
        return muntin_open(&options, &connection)
      }
    }
    #expect(result == 0)
    raw = try #require(connection)
  }

  deinit { muntin_close(raw) }

  var lastError: String { String(cString: muntin_last_error(raw)) }

  var statistics: muntin_statistics {
    var statistics = muntin_statistics()
    muntin_get_statistics(raw, &statistics)
    return statistics
  }

  /// The next event; nil when there is none, or the connection is over.
  func next() -> Event? {
    var event = muntin_event()
    guard muntin_dispatch(raw, &event) == 1, let kind = Kind(rawValue: event.kind.rawValue) else { return nil }
    return Event(
      kind: kind, text: String(cString: event.text), fields: event, info: event.info?.pointee,
      constraints: event.constraints?.pointee, grant: event.grant_record?.pointee)
  }

  /// All that has come.
  func events() -> [Event] {
    var found: [Event] = []
    while let event = next() { found.append(event) }
    return found
  }

  /// What muntin_dispatch() says when there is nothing more to say.
  var end: Int32 {
    var event = muntin_event()
    return muntin_dispatch(raw, &event)
  }

  /// Dispatches until an event of that kind comes; others before it are passed over.
  func wait(_ kind: Kind, limit: Duration = .seconds(20), source: SourceLocation = #_sourceLocation) throws -> Event {
    let deadline = MonotonicTime.now + limit
    while true {
      while let event = next() {
        if event.kind == kind { return event }
      }
      try #require(MonotonicTime.now < deadline, "no event \(kind)", sourceLocation: source)
      muntin_wait(raw, 20)
    }
  }

  // MARK: Buffers of its own

  static let xrgb: UInt32 = 0x3432_5258

  @discardableResult
  func offer(
    _ name: String? = "front", width: UInt32 = 64, height: UInt32 = 48, properties: [(String, String)] = [],
    isWritable: Bool = false, id: [UInt8]? = nil, memory: muntin_memory? = nil, images: UInt32 = 1
  ) -> (result: Int32, buffer: OpaquePointer?) {
    var buffer: OpaquePointer?
    let list = properties.map { property($0.0, $0.1) }
    let layout = muntin_layout(width: width, height: height, format: Self.xrgb, stride: 0, offset: 0, modifier: 0)
    let result = withOptional(name) { name in
      list.withUnsafeBufferPointer { list in
        withOptional(id) { id in
          var offer = muntin_offer(
            id: id, layout: layout, name: name, properties: list.baseAddress, property_count: list.count,
            writable: isWritable, images: images)
          guard var memory else { return muntin_buffer_offer(raw, &offer, &buffer) }
          return muntin_buffer_offer_memory(raw, &offer, &memory, &buffer)
        }
      }
    }
    return (result, buffer)
  }

  /// The memory of a buffer that the library made.
  func pixels(_ buffer: OpaquePointer?) -> UnsafeMutableRawPointer { muntin_buffer_pixels(buffer) }

  func update(_ buffer: OpaquePointer?, _ damage: [UInt32]? = nil, generation: UInt64 = 0, fence: Int32 = -1) -> Int32 {
    guard let damage else { return muntin_buffer_update(buffer, nil, generation, fence) }
    var rectangle = muntin_rectangle(x: damage[0], y: damage[1], width: damage[2], height: damage[3])
    return muntin_buffer_update(buffer, &rectangle, generation, fence)
  }

  // MARK: Others' buffers

  func select<Result>(
    id: [UInt8]? = nil, owner: String? = "camera", name: String? = "front",
    _ body: (UnsafePointer<muntin_selector>) -> Result
  ) -> Result {
    withOptional(id) { id in
      withOptional(owner) { owner in
        withOptional(name) { name in
          var selector = muntin_selector(id: id, owner_kind: MUNTIN_APPLICATION, owner: owner, name: name)
          return body(&selector)
        }
      }
    }
  }

  @discardableResult
  func acquire(
    id: [UInt8]? = nil, owner: String = "camera", name: String = "front", access: muntin_access = MUNTIN_READ,
    flags: Int = MUNTIN_UPDATES
  ) -> (result: Int32, lease: OpaquePointer?) {
    var lease: OpaquePointer?
    let result = select(id: id, owner: owner, name: name) {
      muntin_lease_acquire(raw, $0, access, UInt32(flags), &lease)
    }
    return (result, lease)
  }

  func map(_ lease: OpaquePointer?) -> UnsafeMutableRawPointer? {
    var pixels: UnsafeMutableRawPointer?
    return muntin_lease_map(lease, &pixels) == 0 ? pixels : nil
  }

  func grant(
    _ buffer: OpaquePointer? = nil, name: String? = nil, to grantee: String = "viewer",
    access: muntin_access = MUNTIN_READ
  ) -> (result: Int32, grant: OpaquePointer?) {
    var grant: OpaquePointer?
    let result = withOptional(name) { name in
      grantee.withCString { grantee in
        var right = muntin_right(
          buffer: buffer, name: name, grantee_kind: MUNTIN_APPLICATION, grantee: grantee, access: access)
        return muntin_grant_give(raw, &right, &grant)
      }
    }
    return (result, grant)
  }
}

/// The id of a buffer of one's own.
func identity(_ buffer: OpaquePointer?) -> [UInt8] {
  muntin_buffer_id(buffer).map { Array(UnsafeBufferPointer(start: $0, count: 16)) } ?? []
}

func property(_ name: String, _ value: String) -> muntin_property {
  var property = muntin_property()
  withUnsafeMutableBytes(of: &property.name) { $0.copyBytes(from: name.utf8.prefix(32)) }
  withUnsafeMutableBytes(of: &property.value) { $0.copyBytes(from: value.utf8.prefix(96)) }
  return property
}

/// A C array of characters as text.
func text<Characters>(_ characters: Characters) -> String {
  withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

private func withOptional<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
  guard let text else { return body(nil) }
  return text.withCString(body)
}

private func withOptional<Result>(_ bytes: [UInt8]?, _ body: (UnsafePointer<UInt8>?) -> Result) -> Result {
  guard let bytes else { return body(nil) }
  return bytes.withUnsafeBufferPointer { body($0.baseAddress) }
}
