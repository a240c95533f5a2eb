//! The operations on map runs.

use tokio::sync::oneshot;

use super::Happening;
use crate::{
    Engine,
    error::{Error, Result},
    facade::answered,
    model::{
        ExecutionDescription, ExecutionItem, MapRunDescription, MapRunItem, MapRunOf, MapRunSettings, Page,
        PageRequest, Scope,
    },
};

impl Engine {
    /// DescribeMapRun.
    ///
    /// # Errors
    /// `MapRunDoesNotExist`.
    pub async fn describe_map_run(&self, scope: &Scope, arn: &str) -> Result<MapRunDescription> {
        let (scope, arn) = (scope.clone(), arn.to_owned());
        self.read(move |shared| shared.describe_map_run(&scope, &arn)).await
    }

    /// ListMapRuns, newest first.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`, `InvalidPageToken`.
    pub async fn list_map_runs(
        &self,
        scope: &Scope,
        execution_arn: &str,
        page: PageRequest,
    ) -> Result<Page<MapRunItem>> {
        let (scope, arn) = (scope.clone(), execution_arn.to_owned());
        self.read(move |shared| shared.list_map_runs(&scope, &arn, &page, shared.now())).await
    }

    /// ListExecutions of a map run, newest first: those of a status, and those that were redriven or were not.
    ///
    /// # Errors
    /// `MapRunDoesNotExist`, `InvalidPageToken`.
    pub async fn list_map_run_executions(
        &self,
        scope: &Scope,
        arn: &str,
        status: Option<MapRunOf>,
        redriven: Option<bool>,
        page: PageRequest,
    ) -> Result<Page<ExecutionItem>> {
        let (scope, arn) = (scope.clone(), arn.to_owned());
        self.read(move |shared| shared.list_children(&scope, &arn, status, redriven, &page, shared.now())).await
    }

    /// DescribeExecution of an EXPRESS child of a map run that ended.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn describe_express_child(&self, scope: &Scope, arn: &str) -> Result<ExecutionDescription> {
        let (scope, arn) = (scope.clone(), arn.to_owned());
        self.read(move |shared| shared.describe_express_child(&scope, &arn)).await
    }

    /// UpdateMapRun.
    ///
    /// # Errors
    /// `MapRunDoesNotExist`, `MapRunNotRunning`.
    pub async fn update_map_run(&self, scope: &Scope, arn: &str, settings: MapRunSettings) -> Result<()> {
        let shared = self.shared();
        shared.check()?;
        let (of, name) = (scope.clone(), arn.to_owned());
        let found = self.read(move |shared| shared.find_map_run(&of, &name)).await?;
        if !found.is_running() {
            return Err(Error::MapRunNotRunning);
        }
        let (reply, answer) = oneshot::channel();
        shared.send_to_run(found.reference, Happening::Update { settings, reply });
        answered(answer).await
    }
}
