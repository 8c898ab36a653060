//! What is done to the pods, scene by scene, and how long each is watched.

use std::error::Error;
use std::time::Duration;

use headless::Role;
use headless_mysql::{Overview, PodStatus};
use tokio::time::{sleep, timeout};

use crate::pods::Pods;
use crate::shop::Shop;

/// The time in which the effect of a scene can be read.
const PAUSE: Duration = Duration::from_millis(2500);
/// How long the splitter may take to see what was done. It needs a tenth of a second; a busy
/// machine may need more.
const SEEN: Duration = Duration::from_secs(15);
/// How late the lagging replica applies everything. More than reads allow, which is a second.
const LATE: u32 = 3;
/// How long a real cluster's shop is open by default.
const OPEN: Duration = Duration::from_secs(15);

/// Plays all scenes, after the shop's first, which is calm; on a real cluster there is only one.
pub(crate) async fn play(pods: &Pods, shop: &Shop, length: Option<Duration>) -> Result<(), Box<dyn Error>> {
    let say = |text: String| shop.log.add("pods", format!("* {text}"));
    if !pods.may_be_changed() {
        sleep(length.unwrap_or(OPEN)).await;
        return Ok(());
    }
    // Mostly 0, 1 and 2; but pods that are kept may have another primary by now.
    let replicas: Vec<_> = shop.db.overview().replicas().filter_map(Named::of).collect();
    let [heir, other] = &replicas[..] else {
        return Err(format!("two replicas are needed, and {} take reads", replicas.len()).into());
    };
    sleep(PAUSE).await;

    shop.tally.begin_scene("lag");
    say(format!("{other} applies everything {LATE} s late"));
    pods.delay(other.ordinal, LATE).await?;
    seen(shop, "the lag", |now| !other.is(now, Role::Replica)).await?;
    sleep(PAUSE).await;
    say(format!("{other} catches up"));
    pods.delay(other.ordinal, 0).await?;
    seen(shop, "the end of the lag", |now| other.is(now, Role::Replica)).await?;

    shop.tally.begin_scene("promotion");
    say(format!("{heir} is promoted"));
    pods.promote(heir.ordinal).await?;
    seen(shop, "the new primary", |now| heir.is(now, Role::Primary)).await?;
    sleep(PAUSE).await;

    shop.tally.begin_scene("dead replica");
    say(format!("{other} is killed"));
    pods.kill(other.ordinal).await?;
    sleep(PAUSE).await;

    shop.tally.begin_scene("healed");
    say(format!("{other} is started again"));
    pods.heal(other.ordinal).await?;
    seen(shop, "the healed replica", |now| other.is(now, Role::Replica)).await?;
    sleep(PAUSE).await;
    Ok(())
}

/// A pod of the script.
struct Named {
    name: String,
    ordinal: u32,
}

impl Named {
    fn of(pod: &PodStatus) -> Option<Self> {
        let ordinal = pod.key.pod()?.ordinal()?.get();
        let name = pod.name.clone();
        Some(Self { name, ordinal })
    }

    fn is(&self, overview: &Overview, role: Role) -> bool {
        let mut pods = overview.pods.iter();
        pods.any(|pod| pod.name == self.name && pod.role == Some(role))
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Waits until the splitter sees what was done.
async fn seen(shop: &Shop, what: &str, is_seen: impl Fn(&Overview) -> bool) -> Result<(), String> {
    let wait = async {
        let mut overview = shop.db.overview();
        while !is_seen(&overview) {
            overview = shop.db.changed(&overview).await;
        }
    };
    let waited = timeout(SEEN, wait).await;
    waited.map_err(|_| {
        format!(
            "{what} was not seen within {} s: {:?}",
            SEEN.as_secs(),
            shop.db.overview().writer
        )
    })
}
