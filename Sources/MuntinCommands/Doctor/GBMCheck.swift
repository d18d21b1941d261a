import Buffers
import Platform

/// Whether a graphics driver allocates pictures (libgbm, which Muntin loads where it is there).
enum GBMCheck {
  static var finding: Finding {
    guard GBM.library != nil else { return limited("no libgbm.so.1", remedy: "apt install libgbm1") }
    let nodes = Folder.names(GBM.folder).filter { $0.hasPrefix("renderD") || $0.hasPrefix("card") }.sorted()
      .map { "\(GBM.folder)/\($0)" }
    guard !nodes.isEmpty else {
      return limited("libgbm.so.1, but no node in \(GBM.folder)", remedy: "load the driver of the machine's GPU")
    }
    let usable = nodes.filter { (try? HostSource.tried($0)) != nil }
    guard !usable.isEmpty else {
      return limited(
        "\(nodes.joined(separator: " ")): no picture could be made",
        remedy: "add this user to the group render: usermod -aG render USER, then log in again")
    }
    return Finding(
      "gbm", .ok, "pictures by \(usable.joined(separator: " "))",
      means: "The host can allocate pictures by a graphics driver (heap = \"\(usable[0])\").")
  }

  private static func limited(_ found: String, remedy: String) -> Finding {
    Finding(
      "gbm", .limited, found, means: "Pictures that the host allocates do not come from a graphics driver.",
      remedy: remedy)
  }
}
