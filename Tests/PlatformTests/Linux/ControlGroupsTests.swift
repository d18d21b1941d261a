import Glibc
import Testing

@testable import Platform

@Suite struct ControlGroupsTests {
  private static let mounts = """
    22 1 8:1 / / rw - ext4 /dev/vda rw
    30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw

    """
  private static let part = "30 22 0:26 /user.slice /cg rw - cgroup2 cgroup2 rw\n"

  @Test(arguments: [
    (Self.mounts, "0::/\n", "/sys/fs/cgroup"),
    (Self.mounts, "4:memory:/x\n0::/user.slice/a.scope\n", "/sys/fs/cgroup/user.slice/a.scope"),
    (Self.part, "0::/user.slice/a.scope\n", "/cg/a.scope"),
    (Self.part, "0::/system.slice\n", nil),
    (Self.mounts, "4:memory:/x\n", nil),
    ("22 1 8:1 / / rw - ext4 /dev/vda rw\n", "0::/\n", nil),
  ])
  func `this process's group is found by what the kernel says`(mounts: String, groups: String, folder: String?) {
    #expect(ControlGroups.folder(mounts: mounts, groups: groups) == folder)
  }

  @Test func `a group without the memory controller is left as it was`() throws {
    var template = Array("/tmp/muntin-groups-XXXXXX".utf8CString)
    let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
    let file = "\(folder)/cgroup.controllers"
    close(open(file, O_CREAT | O_WRONLY, 0o600))
    let error = #expect(throws: SystemError.self) { _ = try ControlGroups(folder: folder) }
    #expect(error?.code == ENOTSUP)
    unlink(file)
    #expect(rmdir(folder) == 0, "nothing was made there")
  }
}
