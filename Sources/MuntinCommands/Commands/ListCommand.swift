import ArgumentParser
import HubProtocol
import Listing

/// `muntin list`.
struct ListCommand: ParsableCommand {
  /// What can be listed.
  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case vms, buffers, displays, clients, grants
  }

  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "What the hub knows: virtual machines, buffers, displays, clients, grants.",
    discussion: """
      STATES of a VM
        connected   its VMM is there
        offline     its back-end waits for a VMM
        gone        its back-end has left
        expected    the configuration names it; its back-end has not come yet

      --json prints an array of objects with these keys, to which later versions only add:
        vms       name, state, pid, socket, memory_limit, memory_used (bytes),
                  buffers, flushes, scanouts: [scanout, on, mode, shown, flushes],
                  ledger: {guest_memory, host_memory, imported, bookkeeping, rendering (bytes), buffers,
                  contexts, descriptors, commands: {used, limit}, promised (bytes)}
        buffers   id, owner, owner_kind, name, size, format, stride, bytes, state, leases,
                  images
        displays  name, size, refresh (mHz), output, layers, pid, frame
        clients   name, role, pid, uid, received, sent
        grants    number, owner, to, buffer (its name or id), access, form, configured
      Sizes are "WIDTHxHEIGHT"; a pid, a mode or a size that is not known is null; a memory limit of null is none.

      EXAMPLES
        muntin list vms
        muntin list displays --json
      """
  )

  @Argument(help: ArgumentHelp("vms, buffers, displays, clients or grants.", valueName: "what"))
  var kind: Kind

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var hub: HubOptions

  func run() throws {
    let client = try HubClient.connect(hub.path)
    let list: HubList =
      switch kind {
      case .vms: HubList(vms: try client.vms())
      case .buffers: HubList(buffers: try client.buffers())
      case .displays: HubList(displays: try client.displays())
      case .clients: HubList(clients: try client.clients())
      case .grants: HubList(grants: try client.grants())
      }
    print(json ? list.json.lines : list.table.description)
  }
}

/// The hub, for commands.
enum HubClient {
  static func connect(_ path: String) throws -> ControlClient {
    guard let name = PeerName("muntin") else { throw CommandFailure("no name") }
    do {
      return try ControlClient(hubPath: path, name: name)
    } catch ControlError.unreachable(let path, let error) {
      throw CommandFailure("no hub at \(path) (\(error)); start `muntin hub` or `muntin up`, or say where with --hub")
    }
  }
}
