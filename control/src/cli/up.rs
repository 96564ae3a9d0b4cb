//! `up`: the management API, a gateway beside it, and what to type next.

use std::time::{Duration, Instant};

use super::checked::GatewaySettings;
use super::gateway_child::{GatewayChild, ReadyLine};
use super::options::UpArgs;
use super::serve::{Serving, say};
use super::signals::{Signals, Told};

/// Between a gateway's end and its next start; doubles up to the longest.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// A gateway that ran for this long isn't one that can't start.
const STEADY_AFTER: Duration = Duration::from_secs(10);

pub(super) async fn run(args: UpArgs) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let (settings, publish, gateway) = args.settings()?;
    let serving = Serving::start(settings, publish).await?;
    let outcome = run_gateway(&serving, gateway, &mut signals).await;
    serving.stop().await;
    outcome
}

/// Runs a gateway until told to stop.
async fn run_gateway(
    serving: &Serving,
    mut settings: GatewaySettings,
    signals: &mut Signals,
) -> Result<(), String> {
    let mut child = tokio::select! {
        started = GatewayChild::start(&settings, &serving.publish_socket) => started?,
        () = signals.stop() => return Ok(()),
    };
    // A gateway that is started again has to be where it was.
    (settings.listen, settings.admin_listen) = (child.ready.listen, child.ready.admin);
    settings.tls_listen = child.ready.tls;
    let tls_port = child.ready.tls.map(|address| address.port());
    serving.control.set_endpoint_ports(child.ready.listen.port(), tls_port);
    say(&introduction(serving, &child.ready))?;
    child.pass_output_on();
    let last = watch(child, &settings, serving, signals).await;
    log_line!("up: stopping");
    if let Some(child) = last {
        child.stop(settings.stop_timeout_ms).await;
    }
    Ok(())
}

/// Starts the gateway again whenever it ends, until told to stop. Returns the one that runs then.
async fn watch(
    mut child: GatewayChild,
    settings: &GatewaySettings,
    serving: &Serving,
    signals: &mut Signals,
) -> Option<GatewayChild> {
    let mut pause = RESTART_PAUSE;
    loop {
        let began = Instant::now();
        let how = loop {
            tokio::select! {
                how = child.ended() => break how,
                told = signals.next() => match told {
                    Told::Stop => return Some(child),
                    Told::Reopen => child.reopen(),
                },
            }
        };
        if began.elapsed() >= STEADY_AFTER {
            pause = RESTART_PAUSE;
        }
        log_line!("up: the gateway ended: {how}");
        child = tokio::select! {
            again = start_again(settings, serving, &mut pause) => again,
            () = signals.stop() => return None,
        };
        log_line!("up: the gateway is ready again");
        child.pass_output_on();
    }
}

/// Tries for as long as it takes.
async fn start_again(settings: &GatewaySettings, serving: &Serving, pause: &mut Duration) -> GatewayChild {
    loop {
        log_line!("up: starting the gateway again in {} ms", pause.as_millis());
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(RESTART_PAUSE_MAX);
        match GatewayChild::start(settings, &serving.publish_socket).await {
            Ok(child) => return child,
            Err(error) => log_line!("up: {error}"),
        }
    }
}

fn introduction(serving: &Serving, gateway: &ReadyLine) -> String {
    let key = &serving.root_key;
    format!(
        "{control}\n{gateway}\n\n\
         To use it with the AWS CLI or an SDK:\n\n\
         export AWS_ACCESS_KEY_ID={id}\n\
         export AWS_SECRET_ACCESS_KEY={secret}\n\
         export AWS_DEFAULT_REGION={region}\n\
         export AWS_ENDPOINT_URL=http://{api}\n\n\
         An API in front of a service that listens on port 3000:\n\n\
         aws apigatewayv2 create-api --name first --protocol-type HTTP --target http://127.0.0.1:3000\n\n\
         It answers at the ApiEndpoint that this prints. Ctrl-C stops everything.",
        control = serving.ready_line(),
        gateway = gateway.text,
        id = key.id,
        secret = key.secret,
        region = serving.control.settings().account.region,
        api = serving.address,
    )
}
